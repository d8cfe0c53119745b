"""A private PostgreSQL 15: own data folder, a free loopback port, a Unix socket when the path is short enough.

PostgreSQL refuses to run as root. When we are root it runs in a user namespace of its own that maps root to an
ordinary user, so it needs no system user and no folder another user could read. Where the kernel refuses user
namespaces it runs as `nobody`'s sibling: the files go to that user with setpriv.
"""

import os
import pathlib
import secrets
import signal
import socket
import subprocess

from devtools.process import Failed, Process, free_port, tail

BIN = pathlib.Path("/usr/lib/postgresql/15/bin")
SOCKET_PATH_MAX = 107  # sockaddr_un, less the ending zero
FALLBACK_UID = 65533  # no account has it; only used when user namespaces are refused

SETTINGS = """
listen_addresses = '127.0.0.1'
max_connections = 60
shared_buffers = 64MB
fsync = on
synchronous_commit = on
logging_collector = off
log_timezone = 'UTC'
timezone = 'UTC'
log_line_prefix = '%m [%p] %u@%d '
unix_socket_permissions = 0700
"""


def _run_as():
    """The words in front of a PostgreSQL program."""
    if os.geteuid() != 0:
        return []
    userns = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"]
    if subprocess.run(userns + ["true"], stderr=subprocess.DEVNULL).returncode == 0:
        return userns
    return ["setpriv", f"--reuid={FALLBACK_UID}", f"--regid={FALLBACK_UID}", "--clear-groups", "--"]


class Postgres:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.data = self.folder / "data"
        self.log = self.folder / "postgres.log"
        self.port = None
        self.user = "postgres"
        self.process = None
        self._as = _run_as()

    @property
    def password(self):
        return (self.folder / "password").read_text().strip()

    @property
    def socket_folder(self):
        """The folder of the Unix socket, or None when its path would be too long."""
        path = self.folder / f".s.PGSQL.{self.port}"
        return self.folder if len(str(path)) <= SOCKET_PATH_MAX else None

    def dsn(self, database="postgres"):
        return (f"host=127.0.0.1 port={self.port} user={self.user} password={self.password} "
                f"dbname={database}")

    def env(self):
        return {**os.environ, "PGPASSWORD": self.password, "PGHOST": "127.0.0.1", "PGPORT": str(self.port),
                "PGUSER": self.user, "PGDATABASE": "postgres"}

    def init(self):
        """Makes the data folder; nothing when it exists."""
        if (self.data / "PG_VERSION").exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        password_file = self.folder / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(secrets.token_urlsafe(24) + "\n")
        self._give(self.folder)
        done = subprocess.run(
            self._as + [BIN / "initdb", "-D", self.data, "-U", self.user, "--auth=scram-sha-256",
                        f"--pwfile={password_file}", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"],
            capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed("initdb: " + (done.stderr or done.stdout).strip())
        with open(self.data / "postgresql.conf", "a") as conf:
            conf.write(SETTINGS)

    def _give(self, path):
        if self._as and self._as[0] == "setpriv":
            for item in [path, *path.rglob("*")]:
                os.chown(item, FALLBACK_UID, FALLBACK_UID)

    def start(self):
        self.init()
        self.port = self.port or free_port()
        sockets = self.socket_folder
        argv = self._as + [BIN / "postgres", "-D", self.data, "-p", self.port,
                           "-k", sockets if sockets else ""]
        # SIGINT is PostgreSQL's fast shutdown: it ends connections and writes a checkpoint.
        self.process = Process("postgres", argv, self.log, stop_signal=signal.SIGINT)
        self.process.wait_ready(self._answers, "answers")
        return self

    def _answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return subprocess.run([BIN / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]).returncode == 0

    def sql(self, text, database="postgres"):
        """Runs SQL as the superuser; returns the rows as text, one line each, columns separated by |."""
        done = subprocess.run(
            [BIN / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database, "-f", "-"],
            input=text, capture_output=True, text=True, env=self.env())
        if done.returncode != 0:
            raise Failed(f"psql: {done.stderr.strip()}\n{tail(self.log)}")
        return done.stdout.strip()

    def create_database(self, name):
        self.sql(f'create database "{name}"')
        return self.dsn(name)

    def kill9(self):
        """As the kernel would: the postmaster and everything it forked, at once."""
        from devtools.process import descendants_of
        family = [self.process.pid] + descendants_of(self.process.pid)
        for pid in family:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.kill9()

    def stop(self):
        if self.process:
            self.process.stop()
