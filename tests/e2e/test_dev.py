"""`./dev` itself: what a person sees when things are not as they should be, and that it ends only its own processes."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from devtools.build import ROOT
from devtools.process import PATIENCE_S, Ledger, Process, children_of, reap_strangers, start_time, wait_until
from devtools.sshd import Sshd

# An owner that leaves a daemon behind when it is killed: a child in a session of its own, without a death signal.
OWNER = """
import os, subprocess, sys, time
from devtools.process import Ledger, become_subreaper
become_subreaper()
ledger = Ledger(sys.argv[1], every_s=0.05)
ledger.start()
child = subprocess.Popen(["sleep", "300"], start_new_session=True)
print(child.pid, flush=True)
time.sleep(300)
"""


class Dev(unittest.TestCase):
    def dev(self, *arguments):
        return subprocess.run([ROOT / "dev", *arguments], capture_output=True, text=True, cwd="/")

    def test_help_and_unknown_commands(self):
        self.assertEqual(self.dev("help").returncode, 0)
        done = self.dev("frobnicate")
        self.assertEqual(done.returncode, 2)
        self.assertIn("frobnicate", done.stderr)
        self.assertEqual(self.dev("up", "--chek").returncode, 2)
        self.assertEqual(self.dev("up", "--nodes", "3").returncode, 2)

    def test_ctrl_c_before_the_platform_stands_is_an_interruption(self):
        """In the middle of a step: said so, status 130. (Once it stands, Ctrl-C is how it is ended: status 0.)"""
        code = ("import sys; sys.argv = ['up']; import devtools.up as up, subprocess;"
                "build = ['sh', '-c', 'trap \"exit 130\" INT; sleep 60 & wait'];"
                "up.build = lambda targets: (print('building', flush=True), subprocess.run(build))[1].returncode == 0;"
                "up.Place.__init__ = (lambda old: lambda self, name: old(self, 'interrupted'))(up.Place.__init__);"
                "sys.exit(up.main([]))")
        self.addCleanup((ROOT / ".rap" / "interrupted.lock").unlink, missing_ok=True)
        self.addCleanup(shutil.rmtree, ROOT / ".rap" / "interrupted", ignore_errors=True)
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True) as run:
            seen = run.stdout.readline() + run.stdout.readline()
            self.assertIn("building", seen)
            os.killpg(run.pid, signal.SIGINT)  # as a terminal does: to the build too, which ends with 130
            rest = run.stdout.read()
        self.assertEqual(run.returncode, 130, rest)
        self.assertIn("build: interrupted", rest)
        self.assertIn("\ninterrupted\n", rest)
        self.assertNotIn("130", rest)
        self.assertNotIn("FAIL", rest)

    def test_nothing_missing_is_nothing_to_do(self):
        """Neither the packages' index nor the network is asked."""
        with tempfile.TemporaryDirectory() as folder:
            mark = pathlib.Path(folder) / "asked"
            for name in ("apt-get", "sudo"):
                program = pathlib.Path(folder) / name
                program.write_text(f"#!/bin/sh\ntouch {mark}\nexit 1\n")
                program.chmod(0o755)
            done = subprocess.run([ROOT / "dev", "install"], capture_output=True, text=True, cwd="/",
                                  env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"})
            self.assertEqual((done.returncode, mark.exists()), (0, False), done.stderr)

    def test_what_a_killed_owner_left_is_ended_and_nothing_else(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "processes"
            owner = subprocess.Popen([sys.executable, "-c", OWNER, str(path)], stdout=subprocess.PIPE, text=True,
                                     env={**os.environ, "PYTHONPATH": str(ROOT)})
            left = int(owner.stdout.readline())
            bystander = subprocess.Popen(["sleep", "300"])
            try:
                wait_until(lambda: any(row[0] == left for row in json.loads(path.read_text())), "the record")
                self.assertEqual(Ledger.owner(path), owner.pid)
                owner.send_signal(signal.SIGKILL)
                owner.wait()
                self.assertIsNone(Ledger.owner(path))
                self.assertIsNotNone(start_time(left))
                # A recycled pid: the same number with another start time must not be touched.
                rows = json.loads(path.read_text()) + [[bystander.pid, start_time(bystander.pid) - 1, "sleep"]]
                path.write_text(json.dumps(rows))
                self.assertEqual(Ledger.end_leftovers(path), ["sleep"])
                wait_until(lambda: start_time(left) is None, "the end of what was left")
                self.assertIsNone(bystander.poll())
            finally:
                owner.stdout.close()
                bystander.kill()
                bystander.wait()

    def test_what_a_connection_of_the_target_leaves_is_reaped(self):
        """An orphan below sshd is sshd's: when it ends nothing of it stays, not even its number."""
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder).chmod(0o755)
            target = Sshd(folder)
            self.addCleanup(target.stop)
            target.start()
            client = subprocess.Popen(
                ["ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o",
                 "UserKnownHostsFile=/dev/null", "-i", target.client_key, "-p", str(target.port),
                 f"{target.invoker}@127.0.0.1", "echo $$ $PPID; exec sleep 300"], stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True)
            try:
                shell, connection = map(int, client.stdout.readline().split())
                parent = lambda pid: int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
                os.kill(connection, signal.SIGKILL)
                wait_until(lambda: parent(shell) != connection, "another parent")
                self.assertEqual(parent(shell), target.process.pid)
                os.kill(shell, signal.SIGKILL)
                wait_until(lambda: not os.path.exists(f"/proc/{shell}"), "the end of the orphan")
            finally:
                client.kill()
                client.wait()
                client.stdout.close()

    def test_dead_strangers_are_reaped_and_nobody_elses_status(self):
        with tempfile.TemporaryDirectory() as folder:
            ours = Process("ours", ["/bin/sh", "-c", "exit 7"], pathlib.Path(folder) / "log")
            stranger = int(subprocess.run(["/bin/sh", "-c", "sleep 300 >/dev/null & echo $!"], stdout=subprocess.PIPE,
                                          text=True).stdout)
            self.assertIn(stranger, children_of(os.getpid()))
            os.kill(stranger, signal.SIGKILL)
            wait_until(lambda: start_time(ours.pid) is None, "the end of ours")
            wait_until(lambda: reap_strangers() or not os.path.exists(f"/proc/{stranger}"), "the end of the stranger")
            self.assertFalse(ours.alive())
            self.assertEqual(ours.popen.returncode, 7)
            ours.stop()

    def test_a_guard_ends_what_a_killed_owner_left_and_nothing_of_the_next_one(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "processes"
            code = OWNER.replace("child =", "from devtools.process import Guard; guard = Guard(ledger)\nchild =").replace(
                "print(child.pid,", "print(child.pid, guard.pid,")

            def start():
                owner = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True,
                                         env={**os.environ, "PYTHONPATH": str(ROOT)})
                left, guard = map(int, owner.stdout.readline().split())
                wait_until(lambda: any(row[0] == left for row in json.loads(path.read_text())), "the record")
                self.addCleanup(owner.stdout.close)
                return owner, left, guard

            first, left, guard = start()
            os.kill(guard, signal.SIGTERM)  # as a person might who ends everything politely first
            first.kill()
            first.wait()
            wait_until(lambda: start_time(left) is None, "the end of what was left")
            wait_until(lambda: start_time(guard) is None, "the end of the guard")

            # The next owner writes the same ledger before the guard of this one looks.
            second, left, guard = start()
            os.kill(guard, signal.SIGSTOP)
            second.kill()
            second.wait()
            third, its, its_guard = start()
            os.kill(guard, signal.SIGCONT)
            wait_until(lambda: start_time(guard) is None, "the end of the guard")
            self.assertIsNotNone(start_time(its))
            self.assertIsNone(third.poll())
            os.kill(left, signal.SIGKILL)  # what the next `up` does, with the ledger that it finds
            third.kill()
            third.wait()
            wait_until(lambda: start_time(its) is None and start_time(its_guard) is None, "the end of all")

    def test_plain_unittest_leaves_nothing_of_what_tests_left_running(self):
        """As a node's workers do: a grandchild whose parent has ended, in a session of its own."""
        code = ("import sys, unittest, tests.e2e, devtools.process, subprocess;"
                "print(subprocess.run(['sh', '-c', 'setsid sleep 300 >/dev/null 2>&1 & echo $!'],"
                " capture_output=True, text=True).stdout, end='')")
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT,
                              env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=PATIENCE_S)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIsNone(start_time(int(done.stdout)))

    def test_a_process_dies_with_its_owner(self):
        with tempfile.TemporaryDirectory() as folder:
            code = ("import sys, time; from devtools.process import Process;"
                    "p = Process('sleep', ['/bin/sleep', '300'], sys.argv[1]); print(p.pid, flush=True); time.sleep(300)")
            owner = subprocess.Popen([sys.executable, "-c", code, f"{folder}/log"], stdout=subprocess.PIPE, text=True,
                                     env={**os.environ, "PYTHONPATH": str(ROOT)})
            child = int(owner.stdout.readline())
            owner.kill()
            owner.wait()
            owner.stdout.close()
            wait_until(lambda: start_time(child) is None, "the child to die")

    def test_stop_uses_the_signal_and_then_force(self):
        with tempfile.TemporaryDirectory() as folder:
            stubborn = Process("stubborn", ["/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"],
                               f"{folder}/log")
            time.sleep(0.2)
            stubborn.stop(timeout_s=0.5)
            self.assertEqual(stubborn.popen.returncode, -signal.SIGKILL)
