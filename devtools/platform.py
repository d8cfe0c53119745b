"""A whole platform of one host: private servers, control plane, Version Storage, one node agent, a target.

Every file it writes is under its folder. Each part can be killed and started again by itself.
"""

import json
import os
import pathlib
import secrets
import subprocess

from devtools.api import Api, ApiError
from devtools.build import FOLDER, ROOT
from devtools.node import Node
from devtools.postgres import Postgres
from devtools.process import PATIENCE_S, Failed, Process, free_port, wait_until
from devtools.redis import Redis
from devtools.sshd import Sshd


class Platform:
    address = "127.0.0.1"  # where nodes find the control plane
    libraries = ("plugins/ssh.so",)

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.logs = self.folder / "logs"
        self.bin = FOLDER["release"] / "bin"
        self.plugins = FOLDER["release"] / "plugins"
        self.postgres = Postgres(self.folder / "postgres")
        self.redis = Redis(self.folder / "redis")
        self.sshd = Sshd(self.folder / "sshd")
        for server in (self.postgres, self.redis, self.sshd):
            server.log = self.logs / server.log.name
        self.control = None
        self.node = self.make_nodes()
        self.port = self.url = None
        self.owner, self.owner_name = "owner", "Olga Owner"
        self.secrets = self.folder / "secrets"
        self.password_file = self.secrets / "owner-password"
        self.ca_file = self.folder / "control-plane" / "data" / "platform-ca.pem"
        self.storage = self.folder / "version-storage"
        self.keys = self.folder / "release-keys"
        self.rapctl_dir = self.folder / "rapctl"
        self.api = None
        self.resources = {}  # name to id
        self.cluster_id = self.organization_id = self.assignment_id = None

    def make_nodes(self):
        """Those of this platform; returns the one of the owner's path."""
        return Node(self, "demo-node")

    @property
    def nodes(self):
        return [self.node]

    # Starting.

    def start(self, steps):
        for folder in (self.secrets, self.logs, self.rapctl_dir):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.secrets, self.rapctl_dir):
            folder.chmod(0o700)
        self.password = secrets.token_urlsafe(15)
        self.write_secret(self.password_file, self.password)
        with steps.step("PostgreSQL 15") as step:
            self.postgres.start()
            step.detail = f"127.0.0.1:{self.postgres.port}"
        with steps.step("Redis 7") as step:
            self.redis.start()
            step.detail = self.redis.url
        with steps.step("sshd, the target") as step:
            self.start_target()
            step.detail = f"127.0.0.1:{self.sshd.port}, user {self.target_user}"
        with steps.step("Version Storage: key ceremony"):
            self.init_storage()
        with steps.step("control plane") as step:
            self.init_control()
            self.start_control()
            step.detail = self.url

    def write_secret(self, path, text):
        path.touch(mode=0o600)
        path.write_text(text + "\n")

    def run(self, name, *arguments, input=None, env=None):
        """One command of ours to its end; its output, or Failed with what it said."""
        done = subprocess.run([str(self.bin / name), *map(str, arguments)], input=input, capture_output=True,
                              text=True, env=env or self.env(), timeout=PATIENCE_S, cwd=self.folder)
        if done.returncode != 0:
            raise Failed(f"{name} {' '.join(map(str, arguments))}: status {done.returncode}\n"
                         f"{(done.stderr or done.stdout).strip()}")
        return done.stdout

    def rapctl(self, *arguments):
        return self.run("rapctl", *arguments)

    def rapctl_json(self, *arguments):
        """What the API answered, as rapctl passes it on."""
        return json.loads(self.run("rapctl", "-o", "json", *arguments))

    def env(self):
        """What a person's shell has after eval "$(./dev env)"."""
        path = f"{self.bin}:{os.environ.get('PATH', '/usr/bin:/bin')}"
        return {**os.environ, "PATH": path, "RAP_CONFIG_DIR": str(self.rapctl_dir), "LANG": "C.UTF-8"}

    # Version Storage (repository R) and publishing.

    def sign(self, *arguments):
        return self.run("rap-sign", "--repo", self.storage, "--keys", self.keys, "--passphrase-file",
                        self.secrets / "release-passphrase", "--yes", *arguments)

    def init_storage(self):
        self.write_secret(self.secrets / "release-passphrase", secrets.token_urlsafe(15))
        self.sign("init", "--vendor", "rap")

    def countersign(self, cluster_id):
        """The holders of R's `trust` keys vouch for the cluster's director; nodes refuse it without."""
        self.rapctl("release", "sync")  # tells the control plane who the holders are
        file = self.folder / f"{cluster_id}.root.json"
        self.rapctl("cluster", "root", "export", file, "--cluster", cluster_id)
        self.sign("sign", file, "--key", "trust-1")
        return self.rapctl_json("cluster", "root", "import", file)

    @property
    def release_root(self):
        return self.storage / "metadata" / "1.root.json"

    def publish(self, product, version, plugin, sequence, channel="current", before_sync=lambda variant: None):
        """Signs the plugin into R and lets the control plane read R; the variant of the manifest."""
        work = self.folder / "publish" / f"{product}-{version}"
        work.mkdir(parents=True, exist_ok=True)
        manifest = work / "manifest.json"
        self.run("rap-plugin-check", "manifest", plugin, "--product", product, "--version", version,
                 "--seq", sequence, "--out", manifest)
        self.sign("publish", "--manifest", manifest, "--artifact", plugin,
                  *(["--channel", channel] if channel else []))
        variant = json.loads(manifest.read_text())["variants"][0]
        before_sync(variant)
        self.rapctl("release", "sync")
        return variant

    # Control plane.

    def init_control(self):
        home = self.folder / "control-plane"
        home.mkdir(exist_ok=True)
        home.chmod(0o700)
        self.port = free_port(self.address)
        self.url = f"https://{self.address}:{self.port}"
        admin = self.postgres.create_database("rap")
        app_password = secrets.token_urlsafe(18)
        app = (f"host=127.0.0.1 port={self.postgres.port} user=rap_app password={app_password} dbname=rap")
        config = {
            "listen": f"{self.address}:{self.port}", "public_url": self.url, "data_dir": str(home / "data"),
            "metrics": {"listen": "127.0.0.1:0"},
            "version_storage": str(self.storage),
            "postgres": {"admin_url": admin, "url": app}, "redis": {"url": self.redis.url}}
        self.control_config = home / "control-plane.yaml"
        self.write_secret(self.control_config, json.dumps(config, indent=1))  # JSON is YAML
        self.run("rap-control-plane", "init", "--config", self.control_config, "--owner-login", self.owner,
                 "--owner-name", self.owner_name, "--owner-password-file", self.password_file)

    def start_control(self):
        self.control = Process("rap-control-plane",
                               [self.bin / "rap-control-plane", "serve", "--config", self.control_config],
                               self.logs / "control-plane.log")
        self.api = self.api or Api(self.url, str(self.ca_file))
        self.control.wait_ready(self._control_ready, "is ready")

    def _control_ready(self):
        try:
            return self.api.raw("GET", "/readyz")[0] == 200
        except OSError:
            return False

    # The target.

    def start_target(self):
        self.sshd.start()

    @property
    def target_user(self):
        return self.sshd.demo_user if self.sshd.has_password_user else self.sshd.invoker

    def make_resources(self):
        """demo-ssh (by password where the target has such a user, else by key) and demo-ssh-key."""
        password = self.sshd.has_password_user
        if password:
            self.make_resource("demo-ssh", self.sshd.demo_user, "password", self.sshd.demo_password)
        for name in ["demo-ssh-key"] + ([] if password else ["demo-ssh"]):
            self.make_resource(name, self.sshd.invoker, "publickey", self.sshd.client_key.read_text())

    def make_resource(self, name, user, auth, value, **options):
        file = self.secrets / f"{name}-login"
        self.write_secret(file, value.removesuffix("\n"))
        secret = self.rapctl_json("secret", "put", f"{name}-login", "--from-file", file, "--organization",
                                  self.organization_id)
        made = self.rapctl_json(
            "resource", "create", "--name", name, "--cluster", self.cluster_id, "--organization",
            self.organization_id, "--target", f"127.0.0.1:{self.sshd.port}", "--secret", secret["id"], "--options",
            json.dumps({"user": user, "auth": auth, "known_hosts": [self.sshd.known_host], **options}))
        self.resources[name] = made["id"]
        return made

    # While it runs, and the end.

    def restart_ended(self):
        """Starts what ended; their names. As a service manager would."""
        again = []
        for name, server in (("PostgreSQL", self.postgres), ("Redis", self.redis), ("sshd", self.sshd)):
            if not server.process.alive():
                server.start()
                again.append(name)
        if self.control and not self.control.alive():
            self.start_control()
            again.append("the control plane")
        for node in self.nodes:
            if node.process and not node.process.alive():
                node.start()
                again.append(f"the agent{self.which(node)} (now pid {node.process.pid})")
        return again

    def hosts_text(self):
        """What a person needs to know of other hosts."""
        return ""

    def which(self, node):
        return f" of {node.name}" if len(self.nodes) > 1 else ""

    def ensure_running(self):
        self.restart_ended()
        wait_until(self._control_ready, "the control plane", self.control.log)

    def write_env(self):
        pages = self.folder / "man"
        for page in (ROOT / "docs" / "man").iterdir():
            section = pages / f"man{page.suffix[1:]}"  # where man looks below an entry of MANPATH
            section.mkdir(parents=True, exist_ok=True)
            (section / page.name).unlink(missing_ok=True)
            (section / page.name).symlink_to(page)
        lines = [f'export PATH="{self.bin}:$PATH"', f'export RAP_CONFIG_DIR="{self.rapctl_dir}"',
                 # The colon at the end of an otherwise empty MANPATH keeps the system's pages.
                 f'export MANPATH="{pages}:${{MANPATH:-}}"']
        (self.folder / "env").write_text("\n".join(lines) + "\n")

    def stop(self):
        for node in self.nodes:
            node.stop()
        if self.control:
            self.control.stop()
        for server in (self.sshd, self.redis, self.postgres):
            server.stop()


__all__ = ["Platform", "ApiError", "ROOT"]
