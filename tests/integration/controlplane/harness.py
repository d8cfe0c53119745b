"""One control plane on private servers, for the tests of one file."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.request

from devtools.api import Api, ApiError
from devtools.postgres import BIN, Postgres
from devtools.process import PATIENCE_S, Failed, Process, free_port, stop_all, tail, wait_until
from devtools.redis import Redis
from tests.support.openapi import Document

BINARIES = pathlib.Path(os.environ.get("RAP_BIN", "build/bin")).absolute()
PASSWORD = "a good long password"
TICK_S = 0.05


CONTRACT = pathlib.Path(__file__).parents[3] / "contracts" / "openapi.json"
DOCUMENT = Document(json.loads(CONTRACT.read_text()))


class CheckedApi(Api):
    """Every answer is held to contracts/openapi.json: its status, its media type, and each member of its body."""

    def raw(self, method, path, body=None, headers=None):
        status, got, data = super().raw(method, path, body, headers)
        DOCUMENT.check_answer(method, path, status, got, data)
        return status, got, data


class ControlPlane:
    def __init__(self, redis=True):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="rap-cp-"))
        self.postgres = Postgres(self.folder / "pg").start()
        self.redis = Redis(self.folder / "redis").start() if redis else None
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.metrics_port = free_port()
        admin = self.postgres.create_database("rap")
        self.app_url = f"host=127.0.0.1 port={self.postgres.port} user=rap_app password=app-pw dbname=rap"
        self.config = self.folder / "config.yaml"
        self.data = self.folder / "data"
        self.config.write_text(json.dumps({
            "listen": f"127.0.0.1:{self.port}", "public_url": self.url, "data_dir": str(self.data),
            "metrics": {"listen": f"127.0.0.1:{self.metrics_port}"},
            "postgres": {"admin_url": admin, "url": self.app_url},
            "redis": {"url": self.redis.url if self.redis else ""}}))
        (self.folder / "pw").write_text(PASSWORD + "\n")
        self.init_output = self.init()
        self.start()

    def init(self):
        return subprocess.run([BINARIES / "rap-control-plane", "init", "--config", self.config, "--owner-login",
                               "Owner", "--owner-name", "Olga Owner", "--owner-password-file", self.folder / "pw"],
                              check=True, capture_output=True, text=True).stdout

    def start(self):
        self.process = Process("rap-control-plane", [BINARIES / "rap-control-plane", "serve", "--config", self.config],
                               self.folder / "log")
        self.process.wait_ready(lambda: self.status("/readyz") == 200, "is ready")

    def status(self, path):
        try:
            return self.api().raw("GET", path)[0]
        except OSError:
            return None

    def metrics(self):
        """Name to value, of the samples without labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=PATIENCE_S) as answer:
            lines = answer.read().decode().splitlines()
        return {line.split()[0]: float(line.split()[1]) for line in lines if line[0] != "#" and "{" not in line}

    def api(self, token=None, node=None):
        return CheckedApi(self.url, str(self.data / "platform-ca.pem"), token,
                   *((str(node.certificate), str(node.key)) if node else ()))

    def login(self, login="owner", password=PASSWORD, **more):
        api = self.api()
        api.login(login, password, **more)
        return api

    def app_sql(self, text):
        """SQL as the servers' role; (ok, output or error)."""
        done = subprocess.run([BIN / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", self.app_url, "-f", "-"],
                              input=text, capture_output=True, text=True)
        return done.returncode == 0, (done.stdout if done.returncode == 0 else done.stderr).strip()

    def admin_sql(self, text):
        return self.postgres.sql(text, "rap")

    @contextlib.contextmanager
    def transaction(self, text):
        """`text` was done in a transaction that is committed at the end of the block."""
        psql = subprocess.Popen([BIN / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", "rap"], text=True,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self.postgres.env())
        try:
            psql.stdin.write(f"begin; {text};\n\\echo done\n")
            psql.stdin.flush()
            while (line := psql.stdout.readline()) != "done\n":
                if not line:
                    raise AssertionError(f"psql ended with {psql.wait()}: {text}")
            yield
            psql.communicate("commit;\n", PATIENCE_S)
        finally:
            psql.kill()
            psql.wait()
            psql.stdin.close()
            psql.stdout.close()

    def waits_for_a_lock(self):
        """Whether one of the server's connections does."""
        return self.admin_sql("select count(*) from pg_stat_activity where usename = 'rap_app' and "
                              "wait_event_type = 'Lock'") != "0"

    def close(self):
        for part in (self.process, self.redis, self.postgres):
            if part:
                part.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Replica:
    """A second server on the database and Redis of `first`, with a copy of its keys, as on a host of its own."""

    def __init__(self, first):
        self.folder = first.folder / "replica"
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.data = self.folder / "data"
        shutil.copytree(first.data, self.data)
        config = json.loads(first.config.read_text())
        config["metrics"] = {"listen": ""}
        config["listen"], config["data_dir"] = f"127.0.0.1:{self.port}", str(self.data)
        del config["postgres"]["admin_url"]  # serve has no use for it
        (self.folder / "config.yaml").write_text(json.dumps(config))
        self.process = Process("second rap-control-plane", [BINARIES / "rap-control-plane", "serve", "--config",
                                                            self.folder / "config.yaml"], self.folder / "log")
        self.process.wait_ready(lambda: self.status("/readyz") == 200, "is ready")

    status, api, login = ControlPlane.status, ControlPlane.api, ControlPlane.login

    def close(self):
        self.process.stop()


class Node:
    """What an agent does, with openssl instead of the agent."""

    def __init__(self, plane, name, key=None):
        self.plane, self.name = plane, name
        self.key = key or plane.folder / f"{name}-{time.time_ns()}.key"
        self.certificate = self.key.with_suffix(f".{name}.pem")
        if key is None:
            subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.key],
                           check=True, capture_output=True)

    def csr(self):
        return subprocess.run(["openssl", "req", "-new", "-key", self.key, "-subj", "/CN=x"], check=True,
                              capture_output=True, text=True).stdout

    def ask(self, token, **changes):
        return self.plane.api().post("/v1/enroll", {
            "token": token, "csr_pem": self.csr(), "node_name": self.name, "facts": {"os": "linux"},
            "capabilities": [{"name": "can_run_ssh_worker", "detail": {}}], "requested_roles": ["ssh-worker"],
            "agent_version": "0.1.0", **changes})

    def take(self, answer):
        self.id, self.cluster = answer["node_id"], answer["cluster_id"]
        self.certificate.write_text(answer["certificate_pem"])
        return self

    def api(self, plane=None):
        return (plane or self.plane).api(node=self)

    def beat(self, plane=None, **changes):
        return self.api(plane).post("/v1/node/heartbeat", {
            "boot_id": "b1", "sent_at": "2026-01-01T00:00:00Z", "agent_version": "0.1.0",
            "mesh_endpoint": "127.0.0.1:4433", "load": {"cpu": 1, "memory_used_kb": 1, "memory_total_kb": 2},
            "capabilities": [{"name": "can_run_ssh_worker", "detail": {}}], "sandbox_layers": [],
            "workloads": [], "sessions": [], "director_version": 0, **changes})


class Aside(threading.Thread):
    """`call` on a thread of its own; result() is what it gave, or raises what it raised."""

    def __init__(self, call, *arguments):
        super().__init__(daemon=True)
        self.call, self.arguments, self.value, self.error = call, arguments, None, None
        self.start()

    def run(self):
        try:
            self.value = self.call(*self.arguments)
        except Exception as error:  # told to the test's thread
            self.error = error

    def result(self):
        if self.awake_until_done() >= PATIENCE_S:
            raise AssertionError(f"no answer after {PATIENCE_S} s")
        if self.error:
            raise self.error
        return self.value

    def awake_until_done(self):
        """Waits; the seconds that took, without those in which the whole machine stood still."""
        awake, last = 0, time.monotonic()
        while self.is_alive() and awake < PATIENCE_S:
            self.join(TICK_S)
            now = time.monotonic()
            awake, last = awake + min(now - last, 2 * TICK_S), now
        return awake


class PlaneTest(unittest.TestCase):
    redis = True

    def run(self, result=None):
        """What the server said last is shown beside a failure."""
        bad = lambda: len(result.failures) + len(result.errors)
        before = bad()
        super().run(result)
        if bad() > before:
            print(f"---- {self.id()}: the server's log ends with\n{tail(self.plane.folder / 'log', 12)}\n----", flush=True)
        return result

    @classmethod
    def setUpClass(cls):
        try:
            cls.plane = ControlPlane(cls.redis)
        except Failed as e:
            raise AssertionError(f"{e}\n{tail(e.log) if e.log else ''}") from None
        cls.addClassCleanup(cls.plane.close)
        cls.addClassCleanup(cls.look_at_log)
        cls.owner = cls.plane.login()

    @classmethod
    def look_at_log(cls):
        text = (cls.plane.folder / "log").read_text()
        for bad in ("status is not in the API document", "request failed"):
            if bad in text:
                raise AssertionError(next(line for line in text.splitlines() if bad in line))

    def refused(self, status, code, call, *arguments, **named):
        with self.assertRaises(ApiError) as caught:
            call(*arguments, **named)
        self.assertEqual((caught.exception.status, caught.exception.code), (status, code),
                         str(caught.exception))
        return caught.exception.problem

    serial = 0

    def slug(self, kind):
        PlaneTest.serial += 1
        return f"{kind}-{PlaneTest.serial}"

    def cluster(self):
        slug = self.slug("c")
        return self.owner.post("/v1/clusters", {"name": slug, "slug": slug})["id"]

    def organization(self):
        slug = self.slug("o")
        return self.owner.post("/v1/organizations", {"name": slug, "slug": slug})["id"]

    def person(self, organization=None, role="member"):
        login = self.slug("p")
        user = self.owner.post("/v1/users", {"login": login, "display_name": login, "password": PASSWORD})
        if organization:
            self.owner.post(f"/v1/organizations/{organization}/memberships", {"user_id": user["id"], "role": role})
        return self.plane.login(login)

    def token(self, cluster, **changes):
        return self.owner.post(f"/v1/clusters/{cluster}/join-tokens",
                               {"ttl_s": 600, "max_uses": 5, "scope": {"roles": []}, **changes})

    def node(self, cluster):
        node = Node(self.plane, self.slug("n"))
        token = self.token(cluster)["token"]
        request = node.ask(token)["join_request_id"]
        self.owner.post(f"/v1/join-requests/{request}/approve", {})
        return node.take(node.ask(token))

    def placed(self, beat, open_session):
        """`open_session()`; again after a heartbeat when the node counts as silent, as after a pause of the whole machine."""
        for _ in range(5):
            try:
                return open_session()
            except ApiError as e:
                if e.status != 503 or "sends heartbeats" not in str(e):
                    raise
                beat()
                time.sleep(1)  # it is stored a moment after its answer
        return open_session()

    def undisturbed(self, limit_s, attempt):
        """What `attempt()` gave, from one that took less than `limit_s`: within that a product's limit has not passed."""
        for _ in range(5):
            began = time.monotonic()
            value = attempt()
            if time.monotonic() - began < limit_s:
                return value
        raise AssertionError(f"this machine takes more than {limit_s} s for it, each time")

    def kinds(self, chain):
        return [e["kind"] for e in self.owner.items(f"/v1/clusters/{chain}/audit-events")]


class StorageTest(PlaneTest):
    """With a Version Storage that is still empty, and rap-sign."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.storage, cls.keys = cls.plane.folder / "storage", cls.plane.folder / "keys"
        passphrase = cls.plane.folder / "passphrase"
        passphrase.touch(mode=0o600)
        passphrase.write_text("a passphrase of the test\n")
        cls.env = {**os.environ, "RAP_PASSPHRASE_FILE": str(passphrase)}
        config = json.loads(cls.plane.config.read_text())
        config["version_storage"] = str(cls.storage)
        cls.plane.config.write_text(json.dumps(config))
        cls.plane.process.stop()
        cls.plane.start()

    def run_tool(self, name, *arguments):
        done = subprocess.run([BINARIES / name, *map(str, arguments)], capture_output=True, text=True, env=self.env)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.said = done.stderr
        return done.stdout

    def sign(self, verb, *arguments):
        return self.run_tool("rap-sign", verb, "--yes", "--repo", self.storage, "--keys", self.keys, *arguments)

    def root(self, cluster):
        return self.owner.get(f"/v1/clusters/{cluster}/director-root")

    def signed_root(self, cluster, *keys):
        """The cluster's director root with signatures of the named keys, as their holders hand it back."""
        file = self.plane.folder / f"{cluster}.root.json"
        file.write_text(json.dumps(self.root(cluster)["document"]))
        for key in keys:
            self.sign("sign", file, "--key", key)
        return json.loads(file.read_text())

    def bring(self, cluster, document):
        return self.owner.post(f"/v1/clusters/{cluster}/director-root/signatures", {"document": document})

    def trusted_cluster(self):
        cluster = self.cluster()
        self.assertEqual(self.bring(cluster, self.signed_root(cluster, "trust-1"))["trust"], "complete")
        return cluster


__all__ = ["ApiError", "Aside", "ControlPlane", "Node", "PASSWORD", "PlaneTest", "Replica", "StorageTest", "stop_all",
           "wait_until"]
