"""A private Redis 7 that keeps nothing on disk: on a Unix socket, and on a loopback port with a password."""

import os
import pathlib
import secrets
import socket

from devtools.process import Process, free_port

READY_S = 10
SOCKET_PATH_MAX = 107


class Redis:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.log = self.folder / "redis.log"
        self.socket = self.folder / "redis.sock"
        self.password = secrets.token_urlsafe(24)
        self.port = None
        self.process = None

    @property
    def has_socket(self):
        return len(str(self.socket)) <= SOCKET_PATH_MAX

    def start(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        self.port = self.port or free_port()
        conf = self.folder / "redis.conf"
        conf.touch(mode=0o600)
        lines = ["bind 127.0.0.1", f"port {self.port}", f"requirepass {self.password}", "save \"\"",
                 "appendonly no", "daemonize no", f"dir \"{self.folder}\""]
        if self.has_socket:
            lines += [f"unixsocket \"{self.socket}\"", "unixsocketperm 700"]
        conf.write_text("\n".join(lines) + "\n")
        self.process = Process("redis", ["/usr/bin/redis-server", conf], self.log)
        self.process.wait_ready(lambda: self._answers(), READY_S, "answers")
        return self

    def _answers(self):
        try:
            return self.command("PING") == "PONG"
        except OSError:
            return False

    def command(self, *words):
        """One command; the first line of the answer, without its type mark."""
        with socket.create_connection(("127.0.0.1", self.port), 2) as s:
            f = s.makefile("rwb")
            for request in (("AUTH", self.password), words):
                parts = [w.encode() for w in request]
                f.write(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
                f.flush()
                line = f.readline().decode().rstrip()
            return line[1:]

    def flush(self):
        self.command("FLUSHALL")

    def kill9(self):
        self.process.kill9()

    def stop(self):
        if self.process:
            self.process.stop()
            self.socket.unlink(missing_ok=True)
