"""`./dev test [KIND] [NAME]`: builds and runs tests, and ends with the line "N passed, N failed".

A GoogleTest program counts as its test cases, everything else as one. A program that crashes counts as one
failure beside the cases it reported.
"""

import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

from devtools import process
from devtools.build import FOLDER, ROOT, build, jobs, targets_under

CTEST_KINDS = ("unit", "integration", "abi")
DEFAULT_KINDS = CTEST_KINDS + ("tidy", "e2e", "fuzz")
# A second build of nearly everything, so only by name.
KINDS = DEFAULT_KINDS + ("asan",)
# The short run has one seed, so that it fails only for a change (a slow machine may get less far in the time);
# looking for what nobody knows yet takes longer and another seed each time (docs/testing.md).
FUZZ_SHORT = ("-seed=1", "-runs=20000", "-max_total_time=10")
FUZZ_BY_NAME = ("-max_total_time=60",)
# What is told again of tests that failed: all of it is less than a hundred lines.
CAUSES = 3
CAUSE_LINES = 25
CAUSE_COLUMNS = 300
PASSED_LINE = re.compile(r"\[ RUN  |\[       OK|ok +[0-9.]+ s ")
PYTHON_ENV = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


class Tally:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.failures = []
        self.causes = []

    def add(self, name, passed, failed, skipped=0, cause=""):
        """`cause`: the output of a test that failed."""
        self.passed, self.failed, self.skipped = (self.passed + passed, self.failed + failed,
                                                  self.skipped + skipped)
        if failed:
            self.failures.append(f"{name} ({failed})" if failed > 1 else name)
            lines = [line for line in cause.splitlines() if line.strip() and not PASSED_LINE.match(line)]
            self.causes.append((name, lines[-CAUSE_LINES:]))

    def tell_causes(self):
        """Once more at the end, for whoever has only the end: a CI that cuts the output, a person who scrolls."""
        for name, lines in self.causes[:CAUSES]:
            if lines:
                heading(f"the end of what {name} said")
                print("\n".join(line[:CAUSE_COLUMNS] for line in lines))


def heading(text):
    print(f"== {text}", flush=True)


def run_ctest(tally, preset, name, label=None, env=None):
    folder = FOLDER[preset]
    reports = pathlib.Path(tempfile.mkdtemp(prefix="rap-gtest-"))
    junit = reports / "ctest.xml"
    argv = ["ctest", "--test-dir", str(folder), "-j", jobs(), "--output-on-failure", "--no-tests=ignore",
            "--output-junit", str(junit)]
    if label:
        argv += ["-L", f"^{label}$"]
    if name:
        argv += ["-R", re.escape(name)]
    subprocess.run(argv, env={**os.environ, **(env or {}), "GTEST_OUTPUT": f"json:{reports}/"})
    try:
        cases = list(xml.etree.ElementTree.parse(junit).getroot().iter("testcase"))
    except (OSError, xml.etree.ElementTree.ParseError):
        cases = []
    for case in cases:
        test, ok = case.get("name"), case.get("status") == "run"
        cause = "" if ok else case.findtext("system-out", "")
        report = reports / f"{test}.json"
        if not report.exists():
            tally.add(test, int(ok), int(not ok), cause=cause)
            continue
        data = json.loads(report.read_text())
        skipped = sum(c.get("result") == "SKIPPED" for s in data["testsuites"] for c in s["testsuite"])
        failed = data["failures"] + data.get("errors", 0)
        passed = data["tests"] - failed - skipped - data.get("disabled", 0)
        tally.add(test, passed, failed or int(not ok), skipped, cause)
    shutil.rmtree(reports, ignore_errors=True)


def run_unittest(tally, folder, name):
    """Python's unittest over tests/<folder>; in a process of its own so that a crash is a failure, not the end."""
    if not any((ROOT / "tests" / folder).glob("test_*.py")):
        return
    out = pathlib.Path(tempfile.mkstemp(prefix="rap-unittest-")[1])
    argv = [sys.executable, "-m", "devtools.unittests", f"tests/{folder}", str(out)] + ([name] if name else [])
    status = subprocess.run(argv, cwd=ROOT, env={**os.environ, **PYTHON_ENV}).returncode
    try:
        counts = json.loads(out.read_text())
    except ValueError:
        counts = {"passed": 0, "failed": 0, "skipped": 0, "failures": [], "causes": ""}
    out.unlink()
    failed = counts["failed"] or int(status != 0)
    tally.add(", ".join(counts["failures"]) or folder, counts["passed"], failed, counts["skipped"],
              counts["causes"])


def known(name):
    """Whether any test could have `name` in its name, as far as the sources tell before they are built."""
    files = [p for p in (ROOT / "tests").rglob("*") if p.suffix in (".cpp", ".py", ".txt")]
    return any(name in str(p.relative_to(ROOT)) or name in p.read_text(errors="replace") for p in files)


def run_fuzz(tally, name):
    if name and not any(name in path.stem for path in (ROOT / "tests" / "fuzz").glob("*_fuzz.cpp")):
        return
    if not build("asan", ["rap_fuzzers"]):
        tally.add("fuzz build", 0, 1)
        return
    targets = [t for t in targets_under("asan", "fuzz") if not name or name in t]
    # One thread each; they wait for nothing.
    with concurrent.futures.ThreadPoolExecutor(int(jobs())) as pool:
        for target, done, took in pool.map(lambda t: fuzz_one(FOLDER["asan"] / t, bool(name)), targets):
            ok = done.returncode == 0
            print(f"fuzz {target}: {took:.0f} s, {'ok' if ok else 'FAILED'}", flush=True)
            if not ok:
                print(done.stdout[-4000:] + done.stderr[-4000:])
            tally.add(f"fuzz {target}", int(ok), int(not ok))


def fuzz_one(program, by_name):
    work = FOLDER["asan"] / "fuzz-work"
    corpus = work / program.name
    shutil.rmtree(corpus, ignore_errors=True)
    corpus.mkdir(parents=True)
    seeds = ROOT / "tests" / "fuzz" / "corpus" / program.name
    began = time.monotonic()
    done = subprocess.run(
        [program, "-use_value_profile=1", *(FUZZ_BY_NAME if by_name else FUZZ_SHORT), "-timeout=5",
         "-rss_limit_mb=2048", f"-artifact_prefix={work}/{program.name}-", "-verbosity=0", corpus]
        + ([seeds] if seeds.is_dir() else []), capture_output=True, text=True)
    return program.name, done, time.monotonic() - began


def run_asan(tally, name):
    if not build("asan", ["rap_unit_tests"]):
        tally.add("asan build", 0, 1)
        return
    asan = Tally()
    run_ctest(asan, "asan", name, "unit", {"ASAN_OPTIONS": "detect_leaks=1", "UBSAN_OPTIONS": "print_stacktrace=1"})
    tally.add("asan: " + ", ".join(asan.failures), asan.passed, asan.failed, asan.skipped)


def main(arguments):
    kind, name = None, None
    for argument in arguments:
        if argument in KINDS and kind is None:
            kind = argument
        elif name is None:
            name = argument
        else:
            print(f"dev test: one KIND of {' '.join(KINDS)} and one NAME", file=sys.stderr)
            return 2
    if name and not known(name):
        print(f"dev test: '{name}' is no KIND ({' '.join(KINDS)}) and no test has it in its name", file=sys.stderr)
        return 2
    process.exit_on_signals()
    began = time.monotonic()
    tally = Tally()
    kinds = [kind] if kind else list(DEFAULT_KINDS)
    if set(kinds) - {"asan", "fuzz", "tidy"}:
        if not build():
            print("0 passed, 1 failed (the build)")
            return 1
    for each in kinds:
        heading(each)
        if each in CTEST_KINDS:
            run_ctest(tally, "release", name, each)
        elif each == "fuzz":
            run_fuzz(tally, name)
        elif each == "asan":
            run_asan(tally, name)
        else:
            run_unittest(tally, each, name)
    tally.tell_causes()
    for failure in tally.failures:
        print(f"FAILED: {failure}")
    notes = f"{tally.skipped} skipped, " if tally.skipped else ""
    print(f"({notes}{time.monotonic() - began:.0f} s)")
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 0 if tally.failed == 0 and tally.passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
