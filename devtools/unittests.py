"""Runs the unittest modules of one folder: python3 -m devtools.unittests FOLDER RESULT_FILE [NAME]."""

import json
import pathlib
import sys
import time
import unittest

from devtools import process


class Result(unittest.TextTestResult):
    """One line per test with its time; the run's output is read by people and by CI alike."""

    def startTest(self, test):
        unittest.TestResult.startTest(self, test)
        self._began = time.monotonic()

    def _failed(self, test, err):
        self._line(test, "FAILED")
        log = getattr(err[1], "log", None)  # process.Failed
        if log:
            self.stream.writeln(f"---- the end of {log}\n{process.tail(log)}\n----")

    def _line(self, test, word):
        self.stream.writeln(f"{word:7} {time.monotonic() - self._began:6.1f} s  {test.id()}")
        self.stream.flush()

    def addSuccess(self, test):
        unittest.TestResult.addSuccess(self, test)
        self._line(test, "ok")

    def addFailure(self, test, err):
        unittest.TestResult.addFailure(self, test, err)
        self._failed(test, err)

    def addError(self, test, err):
        unittest.TestResult.addError(self, test, err)
        self._failed(test, err)

    def addSkip(self, test, reason):
        unittest.TestResult.addSkip(self, test, reason)
        self._line(test, f"skipped ({reason})")


def matching(suite, name):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from matching(item, name)
        elif not name or name in item.id():
            yield item


def main():
    folder, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    name = sys.argv[3] if len(sys.argv) > 3 else None
    process.exit_on_signals()
    process.become_subreaper()
    found = unittest.TestLoader().discover(str(folder), "test_*.py", top_level_dir=".")
    suite = unittest.TestSuite(matching(found, name))
    result = unittest.TextTestRunner(stream=sys.stdout, resultclass=Result, verbosity=0).run(suite)
    bad = result.failures + result.errors
    out.write_text(json.dumps({
        "passed": result.testsRun - len(bad) - len(result.skipped),
        "failed": len(bad), "skipped": len(result.skipped), "failures": [t.id() for t, _ in bad],
        "causes": "\n".join(f"{t.id()}: {text}" for t, text in bad)}))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
