"""Configuring and building from Python, with the same presets as `./dev build`."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = {"release": ROOT / "build", "asan": ROOT / "build" / "asan", "debug": ROOT / "build" / "debug"}


def jobs():
    return os.environ.get("RAP_JOBS") or str(os.cpu_count() or 2)


def build(preset="release", targets=()):
    """True when everything was built. Output goes to stderr: stdout belongs to the caller's result."""
    folder = FOLDER[preset]
    env = {"CC": "gcc", "CXX": "g++", **os.environ}
    if not (folder / "build.ninja").exists():
        print(f"configuring {preset}", file=sys.stderr, flush=True)
        if subprocess.run(["cmake", "--preset", preset], cwd=ROOT, env=env, stdout=sys.stderr).returncode:
            return False
    return subprocess.run(["ninja", "-C", str(folder), "-j", jobs(), *targets], cwd=ROOT, env=env,
                          stdout=sys.stderr).returncode == 0


def targets_under(preset, folder):
    """Names of the ninja targets whose output lies in `folder` of the build tree, for example "fuzz"."""
    done = subprocess.run(["ninja", "-C", str(FOLDER[preset]), "-t", "targets", "all"], capture_output=True,
                          text=True)
    found = []
    for line in done.stdout.splitlines():
        name, _, rule = line.partition(": ")
        if name.startswith(folder + "/") and "EXECUTABLE_LINKER" in rule:
            found.append(name)
    return sorted(set(found))
