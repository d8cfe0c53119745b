"""A private Redis 7 that keeps nothing on disk, on a Unix socket that only we may open.

Where the socket's path would be too long it listens on a free loopback port instead.
"""

import pathlib
import socket

from devtools.process import Process, free_port

SOCKET_PATH_MAX = 107


class Redis:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.log = self.folder / "redis.log"
        self.socket = self.folder / "redis.sock"
        self.port = None
        self.process = None

    @property
    def has_socket(self):
        return len(str(self.socket)) <= SOCKET_PATH_MAX

    @property
    def url(self):
        return f"unix:{self.socket}" if self.has_socket else f"127.0.0.1:{self.port}"

    def start(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        if not self.has_socket:
            self.port = self.port or free_port()
        lines = ["bind 127.0.0.1", f"port {self.port or 0}", 'save ""', "appendonly no", "daemonize no",
                 f'dir "{self.folder}"']
        if self.has_socket:
            lines += [f'unixsocket "{self.socket}"', "unixsocketperm 700"]
        conf = self.folder / "redis.conf"
        conf.write_text("\n".join(lines) + "\n")
        self.process = Process("redis", ["/usr/bin/redis-server", conf], self.log)
        self.process.wait_ready(self._answers, "answers")
        return self

    def _answers(self):
        try:
            return self.command("PING") == "PONG"
        except OSError:
            return False

    def command(self, *words):
        """One command; the first line of the answer, without its type mark."""
        with socket.socket(socket.AF_UNIX if self.has_socket else socket.AF_INET) as s:
            s.settimeout(2)
            s.connect(str(self.socket) if self.has_socket else ("127.0.0.1", self.port))
            parts = [w.encode() for w in words]
            s.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
            return s.makefile("rb").readline().decode().rstrip()[1:]

    def flush(self):
        self.command("FLUSHALL")

    def kill9(self):
        self.process.kill9()

    def stop(self):
        if self.process:
            self.process.stop()
            self.socket.unlink(missing_ok=True)
