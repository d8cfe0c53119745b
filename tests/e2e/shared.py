"""One platform for all end-to-end tests, started by the first that needs it: the owner's path is itself a test."""

import atexit
import pathlib
import sys
import unittest

from devtools import process, story
from devtools.build import ROOT
from devtools.platform import Platform
from devtools.steps import Steps
from devtools.up import Place

_platform = None
_failure = None


def platform():
    """The running platform with cluster, node, role and `demo-ssh`. Tests leave it as they found it: running."""
    global _platform, _failure
    if _failure:
        raise unittest.SkipTest("the platform did not start")
    if _platform is None:
        place = Place("e2e")
        place.take()
        atexit.register(place.release)
        started = Platform(place.folder)
        try:
            steps = Steps(sys.stdout)
            started.start(steps)
            story.owner_path(steps, started)
        except BaseException as e:
            _failure = e
            log = getattr(e, "log", None)
            raise AssertionError(f"{e}\n{process.tail(log) if log else ''}") from e
        _platform = started
    return _platform


def clock(offset):
    """In front of a command: its wall clock is off. Not `faketime` itself, which stays in between as a parent."""
    library = next(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    return ["env", f"LD_PRELOAD={library}", f"FAKETIME={offset}", "FAKETIME_DONT_FAKE_MONOTONIC=1"]


class EndToEnd(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.platform = platform()
        cls.api = cls.platform.api

    def tearDown(self):
        """No test leaves a session behind, or a part that it stopped."""
        self.platform.ensure_running()
        for session in story.sessions(self.platform, "opening", "active", "detached"):
            self.api.post(f"/v1/sessions/{session['id']}/terminate")
            story.wait_state(self.platform, session["id"], "closed")

    def assertRefused(self, call, status, *words):
        from devtools.api import ApiError
        with self.assertRaises(ApiError) as caught:
            call()
        self.assertEqual(caught.exception.status, status, caught.exception)
        for word in words:
            self.assertIn(word, str(caught.exception))
        return caught.exception


__all__ = ["EndToEnd", "clock", "platform", "ROOT"]
