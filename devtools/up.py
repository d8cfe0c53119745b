"""`./dev up [--nodes 5] [--check]`, `./dev env`.

One folder each under .rap/ (`up`, `check`), made fresh on every start and locked while its owner runs. What a
killed owner left running is ended by pid and start time: at once by its guard, and else before anything new starts.
"""

import argparse
import fcntl
import os
import pathlib
import shutil
import signal
import sys
import time

from devtools import process
from devtools.build import ROOT, build
from devtools.fleet import Fleet
from devtools.platform import Platform
from devtools.process import Failed, Guard, Ledger
from devtools.steps import Steps
from devtools import fleet_story, story

RAP = ROOT / ".rap"
# What runs, without the tests: a first `up` should not wait for them.
PRODUCT = ("rap-control-plane", "rap-node-agent", "rap-mesh-listener", "rap-worker", "rap-sign", "rap-plugin-check",
           "rapctl")
WATCH_S = 0.5
KINDS = {1: Platform, 5: Fleet}


class Busy(Exception):
    pass


class Place:
    """The folder of one running platform: lock, ledger, state."""

    def __init__(self, name):
        self.folder = RAP / name
        self.lock_path = RAP / f"{name}.lock"
        self.ledger = Ledger(RAP / f"{name}.processes")
        self._lock = self._guard = None

    def take(self):
        RAP.mkdir(mode=0o755, exist_ok=True)
        self._lock = open(self.lock_path, "a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = Ledger.owner(self.ledger.path)
            raise Busy(f"already running here (pid {owner or 'unknown'}); stop it with Ctrl-C in its terminal"
                       + (f" or kill {owner}" if owner else "")) from None
        ended = Ledger.end_leftovers(self.ledger.path)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        self.ledger.start()
        self._guard = Guard(self.ledger)
        return ended

    def release(self):
        # Until everything has ended, a kill -9 in the middle of the stopping is still covered.
        process.stop_all(spare=[self._guard.pid])
        self.ledger.remove()
        self._guard.dismiss()


def show_failure(steps, error):
    failed = steps.failed()
    steps.say()
    steps.say(f"failed: {failed.name if failed else 'start'}")
    steps.say(str(error))
    log = getattr(error, "log", None)
    if log:
        shown = pathlib.Path(log)
        steps.say(f"\nthe end of {shown.relative_to(ROOT) if shown.is_relative_to(ROOT) else shown}:")
        steps.say(process.tail(log))


def walk(steps, platform, check):
    steps.heading("Starting")
    with steps.step("build", live=False):
        if not build(targets=PRODUCT + platform.libraries):
            raise Failed("the build failed; its output is above")
    platform.start(steps)
    platform.write_env()
    steps.heading("The owner's path")
    paths = fleet_story if isinstance(platform, Fleet) else story
    paths.owner_path(steps, platform)
    if check:
        steps.heading("A session")
        paths.session_path(steps, platform)


WHAT_NOW = """
The platform runs. In another terminal, in this folder:

    eval "$(./dev env)"
    rapctl session open --resource demo-ssh      a shell on the target; leave it with Enter ~ d
    rapctl session list                          it is detached, and goes on
    rapctl session attach SESSION                the same shell again; from a second terminal it is taken over
    rapctl session attach SESSION --view         only look
    rapctl session terminate SESSION

Logs: {logs}   Agent: kill -9 {agent} and it is started again; the session does not notice.
Ctrl-C stops everything.
"""


def stay(steps, platform):
    steps.say(WHAT_NOW.format(logs=platform.logs.relative_to(ROOT), agent=platform.node.pid) + platform.hosts_text())
    while True:
        time.sleep(WATCH_S)
        process.reap_strangers()
        for name in platform.restart_ended():
            steps.say(f"{name} ended and was started again")


def up(check, kind):
    place, steps = Place("check" if check else "up"), Steps(sys.stderr if check else sys.stdout)
    process.exit_on_signals()
    process.become_subreaper()
    ended = place.take()
    if ended:
        steps.say(f"ended what an earlier run left behind: {', '.join(sorted(set(ended)))}")
    platform = kind(place.folder)
    ok, status = False, 1
    try:
        walk(steps, platform, check)
        ok, status = True, 0
        if not check:
            stay(steps, platform)
    except SystemExit as e:
        # Ctrl-C is how a platform that stands is ended; before that it is an interruption.
        if not ok or e.code != 128 + signal.SIGINT:
            status = e.code
            steps.say("interrupted")
    except Exception as e:  # the one place where a failed step becomes a sentence and an exit code
        show_failure(steps, e)
        if not isinstance(e, Failed) and os.environ.get("RAP_TRACE"):
            raise
    finally:
        # A second Ctrl-C does not interrupt the stopping.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if not check:
            steps.say("\nstopping")
        platform.stop()
        place.release()
    if check:
        print(steps.report(ok), flush=True)
    return status


def env():
    path = RAP / "up" / "env"
    if not path.exists() or Ledger.owner(RAP / "up.processes") is None:
        print("dev env: nothing runs here; start it with ./dev up", file=sys.stderr)
        return 1
    sys.stdout.write(path.read_text())
    return 0


def clean_check():
    """Refuses while a platform runs; ends leftovers of a killed one."""
    for name in ("up", "check"):
        owner = Ledger.owner(RAP / f"{name}.processes")
        if owner:
            print(f"dev clean: a platform runs here (pid {owner}); stop it first", file=sys.stderr)
            return 1
        Ledger.end_leftovers(RAP / f"{name}.processes")
    return 0


def main(arguments):
    if arguments == ["--env"]:
        return env()
    if arguments == ["--clean-check"]:
        return clean_check()
    options = argparse.ArgumentParser(prog="dev up", allow_abbrev=False, description="A whole platform on this host.")
    options.add_argument("--check", action="store_true", help="walk the whole story without a person; JSON at the end")
    options.add_argument("--nodes", type=int, choices=KINDS, default=1, help="agents, each a host of its own when 5")
    chosen = options.parse_args(arguments)
    try:
        return up(chosen.check, KINDS[chosen.nodes])
    except Busy as e:
        print(f"dev up: {e}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
