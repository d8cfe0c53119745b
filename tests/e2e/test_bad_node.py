"""Bad input to a running node: clocks, certificates, metadata and local sockets. What runs goes on; it says why."""

import contextlib
import json
import os
import pathlib
import socket
import struct
import subprocess

from devtools import story
from devtools.api import Api, ApiError
from devtools.node import Node
from devtools.process import Process, descendants_of, wait_until
from tests.e2e.shared import EndToEnd, clock

GARBAGE_CONNECTIONS = 10_000
YEAR = ["+400d", "-400d"]


class NodeTest(EndToEnd):
    """With the platform's own node; leaves it running with its real clock."""

    def tearDown(self):
        node = self.platform.node
        if node.wrapper:
            self.restart([])
        super().tearDown()

    def restart(self, wrapper):
        node = self.platform.node
        node.process.stop()
        node.wrapper = list(wrapper)
        node.start()
        wait_until(self.status, "the agent to answer", node.log)
        if not wrapper:
            node.wait_online()

    def watched(self):
        """The node that status() and metric() ask."""
        return self.platform.node

    def status(self):
        node = self.watched()
        done = subprocess.run([self.platform.bin / "rap-node-agent", "status", "-o", "json", "--config", node.config],
                              capture_output=True, text=True)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def status_text(self):
        done = subprocess.run([self.platform.bin / "rap-node-agent", "status", "--config", self.platform.node.config],
                              capture_output=True, text=True)
        return done.stdout

    def ops(self, text):
        """One request to the local socket, as bytes; the answer."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.settimeout(5)
            s.connect(str(self.watched().run_dir / "ops.sock"))
            s.sendall(text)
            out = b""
            while data := s.recv(65536):
                out += data
            return out

    def metric(self, name):
        text = self.ops(b"GET /metrics HTTP/1.1\r\nHost: l\r\nConnection: close\r\n\r\n").decode()
        return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(name + " "))

    def worker_pid(self):
        return next(w["pid"] for w in self.status()["workloads"] if w["role"] == "ssh-worker")


class Clock(NodeTest):
    def test_of_the_node_a_year_off(self):
        """The agent says clock, trusts nothing new and ends nothing: same worker, same session, same shell."""
        with story.open_session(self.platform) as terminal:
            shell = story.shell_pid(terminal)
            worker = self.worker_pid()
            for offset in YEAR:
                with self.subTest(offset):
                    self.restart(clock(offset))
                    seen = wait_until(lambda: (s := self.status())["control_plane"]["trouble"] and s,
                                      "trouble with the control plane", self.platform.node.log)
                    self.assertEqual(seen["state"], "degraded")
                    self.assertRegex(seen["detail"], "clock")
                    self.assertTrue(seen["control_plane"]["clock_suspect"])
                    self.assertIn("clock", self.status_text())
                    self.assertEqual(self.metric("rap_agent_clock_suspect"), 1)
                    self.assertEqual([w["state"] for w in seen["workloads"]], ["running"] * len(seen["workloads"]))
                    self.assertEqual(self.worker_pid(), worker)
                    self.assertEqual(story.shell_pid(terminal), shell)
            self.restart([])
            wait_until(lambda: self.status()["state"] == "running", "all well again", self.platform.node.log)
            self.assertEqual(self.worker_pid(), worker)
            self.assertEqual(self.metric("rap_agent_clock_suspect"), 0)
            self.assertEqual(story.shell_pid(terminal), shell)

    def test_of_the_control_plane_a_year_off(self):
        """People and nodes are refused with a word about the clock; nothing is lost when it is right again."""
        with story.open_session(self.platform) as terminal:
            shell = story.shell_pid(terminal)
            worker = self.worker_pid()
            session = story.only_session(self.platform)["id"]
            self.platform.control.stop()
            argv = [self.platform.bin / "rap-control-plane", "serve", "--config", self.platform.control_config]
            late = subprocess.Popen([*clock("+400d"), *map(str, argv)], stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL)
            try:
                trouble = wait_until(lambda: self.status()["control_plane"]["clock_suspect"] and self.status(),
                                     "a word about the clock", self.platform.node.log)
                self.assertRegex(trouble["detail"], "clock")
                self.assertEqual(self.worker_pid(), worker)
                self.assertEqual(story.shell_pid(terminal), shell)
            finally:
                late.terminate()
                late.wait()
            self.platform.start_control()
            self.platform.node.wait_online()
            self.assertEqual(self.api.get(f"/v1/sessions/{session}")["state"], "active")
            self.assertEqual(story.shell_pid(terminal), shell)


class Freeze(NodeTest):
    def test_of_the_director_is_shown_as_stale(self):
        """Two hours ahead, the node gets a timestamp that ended: the same as one served for ever."""
        worker = self.worker_pid()
        self.restart(clock("+2h"))
        seen = wait_until(lambda: (s := self.status())["snapshot"]["trouble"] and s, "trouble with the snapshots",
                          self.platform.node.log)
        self.assertRegex(seen["snapshot"]["trouble"], "expired")
        self.assertFalse(seen["snapshot"]["fresh"])
        self.assertEqual(seen["state"], "degraded")
        self.assertIn("stale", seen["snapshot"]["stale"])
        self.assertRegex(self.status_text(), r"snapshot +stale: the word of the control plane ended ")
        self.assertEqual(self.metric("rap_agent_snapshot_stale"), 1)
        self.assertEqual(self.metric("rap_agent_snapshot_age_seconds"), -1)
        self.assertGreater(self.metric("rap_agent_syncs_failed_total"), 0)
        self.assertEqual(self.worker_pid(), worker)
        self.restart([])
        wait_until(lambda: not self.status()["snapshot"]["trouble"], "fresh again", self.platform.node.log)
        self.assertRegex(self.status_text(), r"snapshot +good until ")

    def test_of_the_release_repository_stops_no_worker(self):
        """Nobody renewed R in time, or it is withheld: no new release, and no worker ends (a fleet was lost this way)."""
        worker = self.worker_pid()
        self.sign_timestamp("-49h")
        try:
            with self.assertRaises(ApiError) as caught:
                self.api.post("/v1/releases/sync")
            self.assertIn("expired", str(caught.exception))
            self.restart([])
            seen = wait_until(lambda: (s := self.status())["snapshot"]["release_trouble"] and s,
                              "trouble with the release repository", self.platform.node.log)
            self.assertIn("expired", seen["snapshot"]["release_trouble"])
            self.assertIn("not refreshed: release repository", self.status_text())
            self.assertGreaterEqual(self.metric("rap_agent_release_syncs_failed_total"), 1)
            self.assertEqual(self.worker_pid(), worker)
            with story.open_session(self.platform) as terminal:
                story.shell_pid(terminal)
        finally:
            self.sign_timestamp("+0")
        self.api.post("/v1/releases/sync")
        self.restart([])
        wait_until(lambda: self.status()["snapshot"]["release_trouble"] == "" and self.status()["state"] == "running",
                   "fresh again", self.platform.node.log)
        self.assertEqual(self.worker_pid(), worker)

    def sign_timestamp(self, offset):
        subprocess.run([*clock(offset), self.platform.bin / "rap-sign", "--repo", self.platform.storage, "--keys",
                        self.platform.keys, "--passphrase-file", self.platform.secrets / "release-passphrase", "--yes",
                        "timestamp"], check=True, capture_output=True)


class Certificates(NodeTest):
    def test_of_another_cluster(self):
        """A node certificate that another cluster's authority signed for our node's name."""
        folder = self.platform.folder / "foreign"
        folder.mkdir(exist_ok=True)
        run = lambda *a: subprocess.run(["openssl", *map(str, a)], check=True, capture_output=True, cwd=folder)
        run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key",
            "-out", "ca.pem", "-subj", "/CN=other cluster", "-days", "2")
        run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "n.key", "-out",
            "n.csr", "-subj", "/CN=node")
        spiffe = f"URI:spiffe://{self.platform.cluster_id}/node/{self.platform.node.id}"
        (folder / "ext").write_text(f"subjectAltName={spiffe}\nkeyUsage=digitalSignature\n"
                                    "extendedKeyUsage=serverAuth,clientAuth\n")
        run("x509", "-req", "-in", "n.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "n.pem",
            "-extfile", "ext", "-days", "1")
        stranger = Api(self.platform.url, str(self.platform.ca_file), None, str(folder / "n.pem"), str(folder / "n.key"))
        beat = self.platform.node.seen()["last_heartbeat_at"]
        for call in (lambda: stranger.get("/v1/node/desired"),
                     lambda: stranger.post("/v1/node/session-events", {"events": []}),
                     lambda: stranger.get("/tuf/director/metadata/timestamp.json")):
            try:
                call()
                self.fail("a certificate of another authority was accepted")
            except ApiError as e:
                self.assertIn(e.status, (401, 403), e)
            except OSError as e:  # refused in the handshake
                self.assertRegex(str(e).lower(), "unknown ca|alert|reset|eof|closed")
        wait_until(lambda: self.platform.node.seen()["last_heartbeat_at"] != beat, "the real node goes on")


class ExpiredCertificate(NodeTest):
    """A node that nobody turned on for more than a day, on clocks that are right everywhere."""

    LATER = "+25h"

    @contextlib.contextmanager
    def later_control_plane(self):
        self.platform.control.stop()
        argv = [self.platform.bin / "rap-control-plane", "serve", "--config", self.platform.control_config]
        log = self.platform.logs / "control-plane-later.log"
        later = Process("a day later: control plane", [*clock(self.LATER), *argv], log)
        api = Api(self.platform.url, str(self.platform.ca_file))

        def login():
            try:
                return api.login(self.platform.owner, self.platform.password)
            except OSError:
                return None
        try:
            wait_until(login, "a login a day later", log)
            yield api
        finally:
            later.stop()
            self.platform.start_control()
            self.platform.node.wait_online()

    def test_renews_with_the_same_key_while_the_agent_runs(self):
        node = Node(self.platform, "sleeper").join()
        self.addCleanup(node.stop)
        key = json.loads((node.folder / "state" / "identity.json").read_text())["key_pem"]
        again = subprocess.run(node.agent("enroll", "--config", node.config, "--token-file", node.token_file),
                               capture_output=True, text=True)
        self.assertIn("already enrolled", again.stdout)
        node.process.stop()
        with self.later_control_plane() as api:
            self.a_day_later(node, api)
        self.assertEqual(json.loads((node.folder / "state" / "identity.json").read_text())["key_pem"], key)

    def a_day_later(self, node, api):
        node.wrapper = clock(self.LATER)
        asked = subprocess.run(node.agent("status", "--config", node.config), capture_output=True, text=True)
        self.assertIn("rap-node-agent enroll --token-file", asked.stderr)
        node.start()
        status = lambda: json.loads(subprocess.run(node.agent("status", "-o", "json", "--config", node.config),
                                                   capture_output=True, text=True).stdout or "null")
        seen = wait_until(status, "the agent to answer", node.log)
        self.assertEqual(seen["state"], "degraded")
        self.assertIn("rap-node-agent enroll --token-file", seen["detail"])
        ready = subprocess.run(node.agent("status", "--check", "ready", "--config", node.config), capture_output=True,
                               text=True)
        self.assertEqual(ready.returncode, 1)
        self.assertIn("enroll --token-file", ready.stdout)

        # The token of the first day brings nothing, however much the key fits.
        old = subprocess.run(node.agent("enroll", "--config", node.config, "--token-file", node.token_file),
                             capture_output=True, text=True)
        self.assertEqual(old.returncode, 1, old)
        self.assertRegex(old.stderr, "expired|used as often")

        made = api.post(f"/v1/clusters/{self.platform.cluster_id}/join-tokens",
                        {"ttl_s": 600, "max_uses": 1, "scope": {}})
        self.platform.write_secret(node.token_file, made["token"][:-43] + "A" * 43)
        foreign = subprocess.run(node.agent("enroll", "--config", node.config, "--token-file", node.token_file),
                                 capture_output=True, text=True)
        self.assertIn("another installation", foreign.stderr)
        self.platform.write_secret(node.token_file, made["token"])
        enroll = Process("sleeper: enroll again", node.agent("enroll", "--config", node.config, "--token-file",
                                                             node.token_file), self.platform.logs / "sleeper-2.log")
        self.addCleanup(enroll.stop)
        path = f"/v1/clusters/{self.platform.cluster_id}/join-requests?status=pending"
        request = wait_until(lambda: next((r for r in api.items(path) if r["renews_node_id"] == node.id), None),
                             "the request to renew", enroll.log)
        self.assertEqual(api.post(f"/v1/join-requests/{request['id']}/approve", {})["node_id"], node.id)
        wait_until(lambda: not enroll.alive(), "the end of enroll", enroll.log)
        self.assertEqual(enroll.popen.returncode, 0)
        # The agent that runs takes it up by itself.
        wait_until(lambda: status()["control_plane"]["reached"] and not status()["certificate_trouble"],
                   "the renewed certificate in use", node.log)
        wait_until(lambda: api.get(f"/v1/nodes/{node.id}")["presence"] == "online", "a heartbeat", node.log)


class LocalSockets(NodeTest):
    """10,000 connections of garbage to each local socket of a node, while a session is used."""

    def throw(self, path, kind, payloads):
        for i in range(GARBAGE_CONNECTIONS):
            with socket.socket(socket.AF_UNIX, kind) as s:
                # Blocks while the queue of the listener is full, so each of them is really taken.
                s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 10, 0))
                s.connect(str(path))
                try:
                    s.send(payloads[i % len(payloads)])
                except (BrokenPipeError, ConnectionResetError):
                    pass  # closed at once, which is right

    def files(self, pid):
        return len(os.listdir(f"/proc/{pid}/fd"))

    def test_ops_socket(self):
        with story.open_session(self.platform) as terminal:
            shell = story.shell_pid(terminal)
            pid, before = self.platform.node.pid, self.files(self.platform.node.pid)
            self.throw(self.platform.node.run_dir / "ops.sock", socket.SOCK_STREAM, [
                os.urandom(512), b"GET / HTTP/9.9\r\n\r\n", b"\x00", b"GET /livez HTTP/1.1\r\nHost: l\r\n",
                b"POST /stop HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
                b"POST /stop HTTP/1.1\r\nHost: l\r\nContent-Length: 5\r\n\r\nab", b"\x16\x03\x01" * 30])
            wait_until(lambda: self.files(pid) < before + 40, "the connections to be closed")
            self.platform.node.process.check()
            self.assertEqual(self.status()["cluster_id"], self.platform.cluster_id)
            self.assertEqual(story.shell_pid(terminal), shell)

    def test_sockets_of_supervised_processes(self):
        with story.open_session(self.platform) as terminal:
            shell = story.shell_pid(terminal)
            worker, session = self.worker_pid(), story.only_session(self.platform)["id"]
            processes = self.family()
            sockets = [p for p in self.platform.node.run_dir.glob("*.sock") if p.name != "ops.sock"]
            self.assertGreaterEqual(len(sockets), 3, sockets)  # listener, zygote, session
            for path in sockets:
                self.throw(path, socket.SOCK_SEQPACKET, [
                    os.urandom(300), b"{}", b"[1]", b'{"op":"hello","id":1,"nonce":"' + b"f" * 32 + b'","fence":9999999}',
                    b'{"op":"close","id":1,"reason":"x"}', b'{"op":"stop","id":1,"force":true}', b'{"op":"hello"',
                    b'{"op":"fork","id":2,"session":"ses_x"}', b"x" * 65_000])
            self.assertEqual(self.worker_pid(), worker)
            self.assertEqual(self.family(), processes)
            self.assertEqual(story.shell_pid(terminal), shell)
            with story.attach(self.platform, session) as again:
                story.attached_to(again, shell)
        with story.open_session(self.platform) as another:
            story.shell_pid(another)

    def family(self):
        """The processes of the node's workers and listener."""
        found = set()
        for pid in descendants_of(os.getpid()):
            try:
                name = pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
            except OSError:
                continue
            if name.startswith(("rap-worker", "rap-mesh")):
                found.add(pid)
        return found
