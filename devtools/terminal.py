"""A program on a pseudo terminal, as a person would run it: type, look, resize, hang up."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import threading
import time

from devtools.process import PATIENCE_S, Failed, start_time

ESCAPES = re.compile(
    r"\x1b\[[0-9;?<=>!]*[ -/]*[@-~]"        # CSI: colours, cursor, modes
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"   # OSC: titles
    r"|\x1b[PX^_].*?\x1b\\"                 # DCS and friends
    r"|\x1b[ -/]*[0-~]", re.S)
KEEP_CHARACTERS = 4 << 20  # of output, for matching; more is dropped from the front


def plain(text):
    return ESCAPES.sub("", text).replace("\r", "")


class Terminal:
    """`argv` on a pseudo terminal of `cols` x `rows`. Use as a context manager or call close()."""

    def __init__(self, argv, env=None, cols=80, rows=24, name=None):
        self.name = name or os.path.basename(str(argv[0]))
        self._raw, self._seen = "", 0
        self._lock = threading.Lock()
        self.returncode = None
        environment = {**(env or os.environ), "TERM": "xterm-256color"}
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            try:
                os.execve(str(argv[0]), [str(a) for a in argv], environment)
            finally:
                os._exit(127)
        self.started = start_time(self.pid)
        self.resize(cols, rows)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        fd, pending = self._fd, b""
        while True:
            try:
                data = os.read(fd, 65536)
            except OSError:
                data = b""
            if not data:
                return
            pending += data
            text = pending.decode("utf-8", "surrogateescape")
            # A character cut in two at the end of the read waits for its rest.
            cut = 0
            while cut < 3 and len(text) > cut and "\udc80" <= text[-1 - cut] <= "\udcff":
                cut += 1
            text = pending[:len(pending) - cut].decode("utf-8", "replace")
            pending = pending[len(pending) - cut:]
            with self._lock:
                self._raw += text
                extra = len(self._raw) - KEEP_CHARACTERS
                if extra > 0:
                    self._raw = self._raw[extra:]
                    self._seen = max(0, self._seen - extra)

    def resize(self, cols, rows):
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def send(self, text):
        data = text.encode() if isinstance(text, str) else text
        while data:
            select.select([], [self._fd], [], 5)
            data = data[os.write(self._fd, data):]

    def line(self, text):
        self.send(text + "\r")

    def output(self):
        with self._lock:
            return plain(self._raw)

    def unread(self):
        with self._lock:
            return plain(self._raw[self._seen:])

    def mark(self):
        """What was shown until now will not be matched by expect()."""
        with self._lock:
            self._seen = len(self._raw)

    def expect(self, pattern, what=None):
        """Waits until `pattern` is in what came since the last mark or match; returns the match."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            found = re.search(pattern, self.unread())
            if found:
                self.mark()
                return found
            if self.poll() is not None:
                time.sleep(0.1)
                found = re.search(pattern, self.unread())
                if found:
                    self.mark()
                    return found
                raise Failed(f"{self.name} ended with {self.returncode} before {what or pattern!r}; it showed:\n"
                             + self.output()[-1500:])
            if time.monotonic() > deadline:
                raise Failed(f"{self.name}: no {what or pattern!r} within {PATIENCE_S:g} s; it showed:\n"
                             + self.output()[-1500:])
            time.sleep(0.01)

    def ask(self, command, pattern):
        """Types a shell command and waits for `pattern` in what follows."""
        self.mark()
        self.line(command)
        return self.expect(pattern, f"{pattern!r} after {command!r}")

    def poll(self):
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                pid, status = self.pid, 0
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout_s=PATIENCE_S):
        deadline = time.monotonic() + timeout_s
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise Failed(f"{self.name} did not end within {timeout_s:g} s; it showed:\n"
                             + self.output()[-1500:])
            time.sleep(0.01)
        return self.returncode

    def kill9(self):
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()

    def close(self):
        if self.poll() is None:
            os.kill(self.pid, signal.SIGHUP)
            try:
                self.wait(3)
            except Failed:
                self.kill9()
        if self._fd is not None:
            try:
                os.close(self._fd)
            except OSError:
                pass
            self._fd = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
