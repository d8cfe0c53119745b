"""Starting, watching and stopping programs by pid. Nothing here ever looks for a process by name.

A `Process` writes its output to a log file, dies with its owner (also when the owner is killed), and is
stopped with a signal and a deadline. A `Ledger` is a file with the pid and start time of everything that
runs under the owner, so that what a killed owner left behind can be ended, and nothing else: by a `Guard`
at once, or by the next run.
"""

import atexit
import ctypes
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import threading
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)

# How long anything waits for what must happen. The wait ends at once when it does, so a large number costs nothing:
# it covers the longest interval of the product's own (tens of seconds) and a machine that stands still for 20 s.
PATIENCE_S = 90
STOP_S = 10  # after this a program that was asked to stop is killed
LOG_TAIL_LINES = 25
PORT_MIN = 10240  # below are what the services of a system use
PORTS_WANTED = 1000  # fewer than these outside the kernel's own range, and tests side by side would meet too often


class Failed(Exception):
    """Something that a person must read: one sentence, and the log that explains it."""

    def __init__(self, message, log=None):
        super().__init__(message)
        self.log = log


def become_subreaper():
    """Orphans of our children (workers of a killed agent) become our children, not init's."""
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def start_time(pid):
    """Clock ticks after boot at which `pid` started, or None: with the pid it names one process for good."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def children_of(pid):
    found = []
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except FileNotFoundError:
        return found
    for task in tasks:
        try:
            text = pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text()
        except OSError:
            continue
        found += [int(p) for p in text.split()]
    return found


def descendants_of(pid):
    found, todo = [], [pid]
    while todo:
        for child in children_of(todo.pop()):
            found.append(child)
            todo.append(child)
    return found


_reserved_ports = []  # sockets whose abstract names are our marks; they end with the process


def free_port(host="127.0.0.1"):
    """A port for a server that is started later, and perhaps again on the same one.

    It is outside the range from which the kernel takes the local ports of connections: 10,000 connections of another
    test would find it. And it is ours until this process ends: whoever else asks here passes over it."""
    low, high = map(int, pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    ports = [*range(PORT_MIN, low), *range(high + 1, 1 << 16)]
    if len(ports) < PORTS_WANTED:
        ports = range(PORT_MIN, 1 << 16)
    for port in random.SystemRandom().sample(ports, len(ports)):
        mark = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            mark.bind(f"\0rap-test-port-{port}")
            with socket.socket() as s:
                s.bind((host, port))
        except OSError:
            mark.close()
            continue
        _reserved_ports.append(mark)
        return port
    raise Failed(f"no port is free on {host}")


def wait_until(condition, what, log=None, *, every_s=0.02):
    """Calls `condition` until it gives something true and returns that; Failed after PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {PATIENCE_S:g} s", log)
        time.sleep(every_s)


def tail(path, lines=LOG_TAIL_LINES):
    try:
        text = pathlib.Path(path).read_text(errors="replace")
    except OSError as e:
        return f"(no log: {e})"
    return "\n".join(text.splitlines()[-lines:])


def kill_exact(pid, started, sig):
    """Signals `pid` only if it is still the process that started at `started`; pidfd closes the race."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if start_time(pid) != started:
            return False
        signal.pidfd_send_signal(fd, sig)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)


_running = []  # newest last; stopped in reverse order at exit


class Process:
    """One running program. `argv[0]` is a path; `log` gets stdout and stderr. `reaps`: a server that waits for every
    child, so that orphans below it are its own and leave no dead ones with us."""

    def __init__(self, name, argv, log, env=None, cwd=None, stop_signal=signal.SIGTERM, stdin=None,
                 pass_fds=(), reaps=False):
        self.name, self.argv, self.log, self.stop_signal = name, [str(a) for a in argv], log, stop_signal
        owner = os.getpid()

        def in_child():
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if reaps:
                become_subreaper()
            if os.getppid() != owner:
                os._exit(1)

        pathlib.Path(log).parent.mkdir(parents=True, exist_ok=True)
        with open(log, "ab") as out:
            # A session of its own: the terminal's Ctrl-C reaches the owner only, who then stops things in order.
            self.popen = subprocess.Popen(self.argv, stdin=stdin or subprocess.DEVNULL, stdout=out, stderr=out,
                                          env=env, cwd=cwd, start_new_session=True, preexec_fn=in_child,
                                          pass_fds=pass_fds)
        self.pid = self.popen.pid
        _running.append(self)

    def alive(self):
        return self.popen.poll() is None

    def check(self):
        if not self.alive():
            raise Failed(f"{self.name} ended with status {self.popen.returncode}", self.log)

    def wait_ready(self, condition, what):
        def ready():
            self.check()
            return condition()
        return wait_until(ready, f"{self.name}: {what}", self.log)

    def kill9(self):
        self.popen.kill()
        self.popen.wait()
        self._forget()

    def stop(self, timeout_s=STOP_S):
        """Ends the program: its own signal, then SIGKILL after `timeout_s`. Twice is fine."""
        if self.alive():
            try:
                self.popen.send_signal(self.stop_signal)
                self.popen.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        self._forget()

    def _forget(self):
        if self in _running:
            _running.remove(self)


def stop_all(spare=()):
    """`spare`: pids of ours that go on."""
    for process in reversed(list(_running)):
        process.stop()
    # With become_subreaper(): what our programs left running.
    for sig in (signal.SIGTERM, signal.SIGKILL):
        left = [p for p in descendants_of(os.getpid()) if start_time(p) is not None and p not in spare]
        for pid in left:
            try:
                os.kill(pid, sig)
            except ProcessLookupError:
                pass
        deadline = time.monotonic() + 3
        while left and time.monotonic() < deadline:
            _reap()
            left = [p for p in left if start_time(p) is not None]
            time.sleep(0.02)


def _reap_one(pid):
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass


def _reap():
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return


def reap_strangers():
    """With become_subreaper(): waits for dead children that nobody here started, and that lived too short below another
    process for a ledger to see them there. Only where no subprocess.run() is under way."""
    known = {process.pid for process in _running}
    for pid in children_of(os.getpid()):
        if pid not in known and start_time(pid) is None:
            _reap_one(pid)


def exit_on_signals():
    """SIGINT, SIGTERM and SIGHUP become SystemExit, so that `finally` and atexit run."""
    def leave(number, _frame):
        raise SystemExit(128 + number)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)


atexit.register(stop_all)


class Ledger:
    """`path` holds what runs now: [[pid, start time, command]]. Written by a thread every `every_s`."""

    def __init__(self, path, every_s=0.5):
        self.path, self.every_s = pathlib.Path(path), every_s
        self._stop = threading.Event()
        self._adopted = set()  # seen under a child of ours; ours to reap once that child is gone

    def start(self):
        self.write()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while not self._stop.wait(self.every_s):
            self.write()

    def write(self):
        rows = []
        own = children_of(os.getpid())
        family = descendants_of(os.getpid())
        self._adopted.update(set(family) - set(own))
        for pid in self._adopted.intersection(own):
            if start_time(pid) is None:
                _reap_one(pid)
        for pid in [os.getpid()] + family:
            started = start_time(pid)
            if started is None:
                continue
            try:
                command = pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
            except OSError:
                continue
            rows.append([pid, started, command])
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(rows))
        new.rename(self.path)

    def remove(self):
        self._stop.set()
        self.path.unlink(missing_ok=True)

    @staticmethod
    def owner(path):
        """The pid of the owner that wrote `path` if it still runs, else None."""
        rows = Ledger._read(path)
        if rows and start_time(rows[0][0]) == rows[0][1]:
            return rows[0][0]
        return None

    @staticmethod
    def end_leftovers(path):
        """Ends exactly what a killed owner left running; returns the commands it ended."""
        ended = Ledger._end(Ledger._read(path))
        pathlib.Path(path).unlink(missing_ok=True)
        return ended

    @staticmethod
    def _end(rows):
        ended = []
        for pid, started, command in rows:
            if pid != os.getpid() and kill_exact(pid, started, signal.SIGTERM):
                ended.append((pid, started, command))
        deadline = time.monotonic() + 3
        while any(start_time(p) == s for p, s, _ in ended) and time.monotonic() < deadline:
            time.sleep(0.02)
        for pid, started, _ in ended:
            kill_exact(pid, started, signal.SIGKILL)
        return [command for _, _, command in ended]

    @staticmethod
    def _read(path):
        try:
            return json.loads(pathlib.Path(path).read_text())
        except (OSError, ValueError):
            return []


class Guard:
    """A process that ends what is in the ledger as soon as its owner is gone, however that came.

    Our programs die with the owner by themselves; what *they* started does not (workers outlive their agent by
    design). The guard waits for the end of a pipe whose other end only the owner holds. It is a session of its own,
    so that what is sent to the owner's terminal or process group does not reach it."""

    def __init__(self, ledger):
        root = pathlib.Path(__file__).resolve().parent.parent
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "devtools.process", str(ledger.path), str(os.getpid()), str(start_time(os.getpid()))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
            cwd="/", env={**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"})
        self.pid = self._popen.pid
        ready = self._popen.stdout.read(1)
        self._popen.stdout.close()
        if not ready:
            raise Failed("the guard of the processes did not start")

    def dismiss(self):
        """For an owner that has ended everything in order."""
        self._popen.kill()
        self._popen.wait()
        self._popen.stdin.close()

    @staticmethod
    def watch(path, owner, started):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        os.write(1, b"+")
        while os.read(0, 1):
            pass
        rows = Ledger._read(path)
        # The ledger of an owner that came after ours is not our business; nor is the file, which the next one reads.
        if rows and rows[0][:2] == [owner, started]:
            Ledger._end(rows)


if __name__ == "__main__":
    Guard.watch(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
