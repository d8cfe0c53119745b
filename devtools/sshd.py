"""A real OpenSSH server as a target: own host key, own port, own configuration.

Public key login works for the user who runs this. As root there is also a user with a password: it exists only
in a mount namespace that belongs to this server, where our own passwd, shadow and group lie over the system's,
so the accounts of the machine are untouched.
"""

import os
import pathlib
import pwd
import secrets
import shlex
import socket
import subprocess

from devtools.namespaces import HERE
from devtools.process import Failed, Process, descendants_of, free_port

DEMO_UID = 61234  # outside Debian's ranges for people and services
HOME_PARENTS = ("/srv", "/mnt", "/media")  # empty in Debian; one is covered by a tmpfs in the namespace


class Sshd:
    """`host`: where it runs, always on 127.0.0.1."""

    def __init__(self, folder, host=HERE):
        self.folder, self.host = pathlib.Path(folder), host
        self.log = self.folder / "sshd.log"
        self.port = None
        self.process = None
        self.invoker = pwd.getpwuid(os.geteuid()).pw_name
        self.has_password_user = os.geteuid() == 0 and _may_mount()
        self.demo_user = "demo"

    @property
    def demo_password(self):
        return (self.folder / "demo-password").read_text().strip()

    @property
    def client_key(self):
        return self.folder / "client_key"

    @property
    def known_host(self):
        """The host key as it goes into `known_hosts` of a resource."""
        return " ".join((self.folder / "host_key.pub").read_text().split()[:2])

    def init(self):
        if (self.folder / "sshd_config").exists() and self.port:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        self.port = self.port or free_port()
        for name in ("host_key", "client_key"):
            if not (self.folder / name).exists():
                _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", self.folder / name])
        (self.folder / "authorized_keys").write_text((self.folder / "client_key.pub").read_text())
        if not (self.folder / "demo-password").exists():
            (self.folder / "demo-password").touch(mode=0o600)
            (self.folder / "demo-password").write_text(secrets.token_urlsafe(12) + "\n")
        (self.folder / "sshd_config").write_text(f"""
ListenAddress 127.0.0.1
Port {self.port}
HostKey {self.folder}/host_key
AuthorizedKeysFile {self.folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
UseDNS no
PermitRootLogin prohibit-password
PasswordAuthentication {"yes" if self.has_password_user else "no"}
KbdInteractiveAuthentication no
PrintMotd no
PrintLastLog no
MaxStartups 1000
MaxSessions 1000
LogLevel VERBOSE
AcceptEnv LANG LC_*
Subsystem sftp internal-sftp
""")

    def twin(self, host):
        """The same server, keys and port on another host."""
        self.init()
        other = Sshd(self.folder, host)
        other.port, other.log = self.port, self.log
        return other

    def start(self):
        self.init()
        command = ["/usr/sbin/sshd", "-D", "-e", "-f", self.folder / "sshd_config"]
        if os.geteuid() == 0:
            if not self.has_password_user:
                pathlib.Path("/run/sshd").mkdir(exist_ok=True)
            else:
                command = ["unshare", "--mount", "--propagation", "private", "--", "/bin/sh", "-ec",
                           self._namespace_script() + "exec " + shlex.join(str(c) for c in command)]
        # What a connection's process leaves when it dies would else come to us, who wait for nobody we did not start.
        self.process = Process("sshd", self.host.prefix + command, self.log, reaps=True)
        self.process.wait_ready(self._answers, "answers")
        return self

    def _namespace_script(self):
        """Runs in the private mount namespace, as root, just before sshd."""
        accounts = self.folder / "accounts"
        accounts.mkdir(exist_ok=True)
        here = str(self.folder.resolve())
        parent = next(p for p in HOME_PARENTS if os.path.isdir(p) and not here.startswith(p + "/"))
        home = f"{parent}/{self.demo_user}"
        hashed = _run(["openssl", "passwd", "-6", "-stdin"], self.demo_password).strip()
        for name, line in (
                ("passwd", f"{self.demo_user}:x:{DEMO_UID}:{DEMO_UID}:RAP demo:{home}:/bin/bash"),
                ("shadow", f"{self.demo_user}:{hashed}:19000:0:99999:7:::"),
                ("group", f"{self.demo_user}:x:{DEMO_UID}:")):
            rows = [r for r in pathlib.Path("/etc", name).read_text().splitlines()
                    if not r.startswith(self.demo_user + ":")]
            path = accounts / name
            path.write_text("\n".join(rows + [line]) + "\n")
            path.chmod(0o600 if name == "shadow" else 0o644)
        q = shlex.quote
        script = "".join(f"mount --bind {q(str(accounts / n))} /etc/{n}\n" for n in ("passwd", "shadow", "group"))
        script += f"mount -t tmpfs -o mode=755,size=512m tmpfs {parent}\n"
        script += f"install -d -m 700 -o {DEMO_UID} -g {DEMO_UID} {home}\n"
        script += f"printf '%s\\n' 'PS1=\"demo@target:\\w\\$ \"' 'export LANG=C.UTF-8' > {home}/.bashrc\n"
        script += f"printf '%s\\n' '. ~/.bashrc' > {home}/.bash_profile\n"
        script += f"chown -R {DEMO_UID}:{DEMO_UID} {home}\n"
        # sshd wants /run/sshd; a tmpfs over /run keeps the machine's as it is.
        script += "mount -t tmpfs -o mode=755,size=1m tmpfs /run\nmkdir -m 755 /run/sshd\n"
        return script

    def _answers(self):
        try:
            with self.host.call(lambda: socket.create_connection(("127.0.0.1", self.port), 1)) as s:
                return s.recv(4) == b"SSH-"
        except OSError:
            return False

    def kill9(self):
        """The server and every connection of it, at once: as when the machine dies."""
        for pid in descendants_of(self.process.pid):
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass
        self.process.kill9()

    def stop(self):
        if self.process:
            # Connections outlive the listener in OpenSSH; these are ours to end.
            children = descendants_of(self.process.pid)
            self.process.stop()
            for pid in children:
                try:
                    os.kill(pid, 15)
                except ProcessLookupError:
                    pass


def _may_mount():
    return subprocess.run(["unshare", "--mount", "--", "/bin/sh", "-c", "mount -t tmpfs tmpfs /mnt"],
                          stderr=subprocess.DEVNULL).returncode == 0


def _run(argv, text=None):
    done = subprocess.run([str(a) for a in argv], input=text, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"{argv[0]}: {done.stderr.strip()}")
    return done.stdout
