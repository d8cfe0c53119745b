"""What bad input gets, at the edges of the running platform: a clear error, a count, and nothing half-done."""

import json
import os
import pathlib
import secrets
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time

from devtools import story
from devtools.api import Api, ApiError
from devtools.node import Node
from devtools.process import PATIENCE_S, descendants_of, free_port, wait_until
from devtools.terminal import Terminal
from tests.e2e.shared import EndToEnd, clock

GARBAGE_CONNECTIONS = 10_000
GARBAGE_THREADS = 16


def csr(folder, name="key"):
    """A new P-256 key and a certificate request for it; (key path, CSR text)."""
    key = pathlib.Path(folder) / f"{name}.pem"
    subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key], check=True,
                   capture_output=True)
    done = subprocess.run(["openssl", "req", "-new", "-key", key, "-subj", "/CN=node"], check=True,
                          capture_output=True, text=True)
    return key, done.stdout


class JoinTokens(EndToEnd):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.anonymous = Api(self.platform.url, str(self.platform.ca_file))

    def token(self, **fields):
        return self.api.post(f"/v1/clusters/{self.platform.cluster_id}/join-tokens",
                             {"ttl_s": 600, "max_uses": 1, "scope": {}, **fields})

    def enroll(self, token, text=None, name="probe"):
        return self.anonymous.post("/v1/enroll", {
            "token": token, "csr_pem": text or csr(self.folder.name, secrets.token_hex(4))[1], "node_name": name,
            "facts": {}, "capabilities": [], "requested_roles": [], "agent_version": "0.1.0"})

    def requests(self):
        return len(self.api.items(f"/v1/clusters/{self.platform.cluster_id}/join-requests"))

    def assertNothingMade(self, token, before):
        """Refused with a sentence, and no join request left."""
        with self.assertRaises(ApiError) as caught:
            self.enroll(token)
        self.assertIn(caught.exception.status, (400, 401, 403, 404, 409, 410, 422), caught.exception)
        self.assertTrue(caught.exception.problem.get("detail"), caught.exception)
        self.assertEqual(self.requests(), before)
        return caught.exception

    def test_expired(self):
        made, before = self.token(ttl_s=1), self.requests()
        time.sleep(1.6)
        self.assertIn("expired", str(self.assertNothingMade(made["token"], before)))

    def test_revoked(self):
        made, before = self.token(), self.requests()
        self.api.post(f"/v1/join-tokens/{made['id']}/revoke")
        self.assertIn("revoked", str(self.assertNothingMade(made["token"], before)))

    def test_used_up_but_idempotent_for_the_same_key(self):
        made = self.token()
        key, text = csr(self.folder.name)
        first = self.enroll(made["token"], text)
        again = self.enroll(made["token"], text)
        self.assertEqual(first["join_request_id"], again["join_request_id"])
        self.assertNothingMade(made["token"], self.requests())
        self.api.post(f"/v1/join-requests/{first['join_request_id']}/reject", {"reason": "a test"})
        refused = self.assertRefused(lambda: self.enroll(made["token"], text), 403)
        self.assertIn("a test", str(refused))

    def test_mangled_and_foreign(self):
        good, before = self.token()["token"], self.requests()
        flipped = good[:-2] + ("A" if good[-2] != "A" else "B") + good[-1]
        parts = good.split(".")
        wrong_secret = ".".join([parts[0], parts[1], "A" * len(parts[2]), parts[3]])
        for token in ("", "rapjoin1", "rapjoin1...", "x" * 5000, good + "x", wrong_secret, good.upper(),
                      good.replace("rapjoin1", "rapjoin2"), flipped[:20], "rapjoin1.tok_x.\u0000.y"):
            self.assertNothingMade(token, before)

    def test_a_second_node_with_the_same_key_is_the_same_node(self):
        key, text = csr(self.folder.name)
        first = self.enroll(self.token()["token"], text, "twin-a")
        approved = self.api.post(f"/v1/join-requests/{first['join_request_id']}/approve", {})
        try:
            second = self.enroll(self.token()["token"], text, "twin-b")
            self.assertEqual(second.get("node_id", approved["node_id"]), approved["node_id"])
        except ApiError as e:
            self.assertIn(e.status, (403, 409), e)
        nodes = [n for n in self.api.items(f"/v1/nodes?cluster_id={self.platform.cluster_id}")
                 if n["name"].startswith("twin")]
        self.assertEqual(len(nodes), 1)
        self.api.post(f"/v1/nodes/{approved['node_id']}/revoke", {"reason": "end of the test"})

    def test_not_a_certificate_request(self):
        made, before = self.token(), self.requests()
        for text in ("", "hello", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"):
            with self.assertRaises(ApiError) as caught:
                self.enroll(made["token"], text or " ")
            self.assertIn(caught.exception.status, (400, 422), caught.exception)
        self.assertEqual(self.requests(), before)


class Nodes(EndToEnd):
    def test_revoked_node_is_refused_and_cut_off(self):
        node = Node(self.platform, "leaver").join()
        self.addCleanup(node.stop)
        self.api.post(f"/v1/nodes/{node.id}/revoke", {"reason": "it left"})
        wait_until(lambda: node.seen()["status"] == "revoked", "status revoked")
        self.assertEqual(node.seen()["presence"], "offline")
        state = node.folder / "state"
        seen = node.seen()["last_heartbeat_at"]
        time.sleep(3)
        self.assertEqual(node.seen()["last_heartbeat_at"], seen, f"no heartbeat is taken any more ({state})")
        log = pathlib.Path(node.log).read_text(errors="replace").lower()
        self.assertIn("revoked", log)
        ask = lambda *more: subprocess.run(node.agent("status", "--config", node.config, *more), capture_output=True,
                                           text=True)
        wait_until(lambda: "this node was revoked: it left" in ask().stdout, "the reason in status", node.log)
        ready = ask("--check", "ready")
        self.assertEqual((ready.returncode, ready.stdout.strip()), (1, "this node was revoked: it left"))
        wait_until(lambda: '"shut out by the control plane","detail":"this node was revoked: it left"'
                   in pathlib.Path(node.log).read_text(errors="replace"), "the reason in the log", node.log)
        events = str(self.api.items(f"/v1/clusters/{self.platform.cluster_id}/audit-events"))
        self.assertIn("node.revoked", events)

    def test_enroll_shows_the_fingerprint_that_the_owner_sees(self):
        node = Node(self.platform, "compared")
        self.addCleanup(node.stop)
        node.make_token()
        node.start_enroll()
        request = node.wait_join_request()
        self.addCleanup(lambda: self.api.post(f"/v1/join-requests/{request['id']}/reject", {"reason": "a test"}))
        wait_until(lambda: f"key fingerprint {request['fingerprint']}\n" in pathlib.Path(node.enroll.log).read_text(),
                   "the fingerprint", node.enroll.log)
        node.stop()
        done = subprocess.run(node.agent("enroll", "--config", node.config, "--no-wait", "--server", self.platform.url,
                                         "--token-file", node.token_file, "-o", "json"), capture_output=True, text=True)
        self.assertEqual(json.loads(done.stdout), {"status": "pending", "join_request_id": request["id"],
                                                   "fingerprint": request["fingerprint"]}, done)

    def test_a_clock_a_year_off_says_so(self):
        node = Node(self.platform, "late", clock("+400d"))
        self.addCleanup(node.stop)
        node.make_token()
        node.start_enroll()
        wait_until(lambda: "expired" in log_of(node).lower() or "clock" in log_of(node).lower()
                   or not node.enroll.alive(), "a word about the clock", node.enroll.log)
        self.assertRegex(log_of(node).lower(), r"clock|expired|not yet valid")
        self.assertIsNone(node.join_request())
        node.stop()
        self.assertEqual(self.with_configuration(node), [], "a process of this test goes on after it")

    def with_configuration(self, node):
        """Command lines of running processes that name the node's configuration."""
        found = []
        for pid in descendants_of(os.getpid()):
            try:
                words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if str(node.config) in words:
                found.append(words.replace("\0", " "))
        return found

    def test_unknown_key_in_the_configuration(self):
        node = Node(self.platform, "typo")
        node.write_config(hartbeat={"min_interval_ms": 1000})
        done = subprocess.run(node.agent("config", "validate", "--config", node.config), capture_output=True,
                              text=True, env=self.platform.env())
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("hartbeat", done.stderr + done.stdout)
        broken = self.platform.folder / "broken-control-plane.yaml"
        broken.write_text(self.platform.control_config.read_text().replace('"listen"', '"listne"'))
        done = subprocess.run([self.platform.bin / "rap-control-plane", "serve", "--config", broken],
                              capture_output=True, text=True, timeout=PATIENCE_S)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("listne", done.stderr)


class CommandLines(EndToEnd):
    """What a person sees who typed something wrong: one sentence that helps, and the right exit status."""

    def run_program(self, program, *arguments, **more):
        return subprocess.run([self.platform.bin / program, *map(str, arguments)], capture_output=True, text=True,
                              timeout=PATIENCE_S, stdin=subprocess.DEVNULL, start_new_session=True,  # no terminal to ask on
                              env=more.get("env", self.platform.env()))

    def test_control_plane(self):
        done = self.run_program("rap-control-plane")
        self.assertEqual(done.returncode, 2)
        self.assertIn("serve", done.stderr)
        self.assertEqual(self.run_program("rap-control-plane", "frobnicate").returncode, 2)
        self.assertEqual(self.run_program("rap-control-plane", "--help").returncode, 0)
        done = self.run_program("rap-control-plane", "serve", "--config", "/nope")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr, "rap-control-plane: /nope: open: No such file or directory\n")

    def test_agent(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="rap-words-"))
        self.addCleanup(shutil.rmtree, folder)
        bad = folder / "agent.yaml"
        bad.write_text("server: x\n")
        for arguments in (["config", "validate", bad], ["config", "validate", "--config", bad]):
            done = self.run_program("rap-node-agent", *arguments)
            self.assertEqual(done.returncode, 1)
            self.assertEqual(done.stderr, f"{bad}: /server: want text like https://cp.example:8443, at most 255 characters\n")
        bad.write_text(json.dumps({"state_dir": str(folder / "state"), "run_dir": str(folder / "run")}))
        node = Node(self.platform, "nowhere")
        node.make_token()
        done = self.run_program("rap-node-agent", "enroll", "--config", bad, "--no-wait", "--token-file",
                                node.token_file, "--server", f"https://127.0.0.1:{free_port()}")
        self.assertEqual(done.returncode, 1)
        self.assertIn("refused", done.stderr)
        self.assertIn("Is rap-control-plane running there", done.stderr)
        done = self.run_program("rap-node-agent", "enroll", "--config", bad, "--token-file", node.token_file)
        self.assertIn("--server", done.stderr)

    def test_rapctl(self):
        done = self.run_program("rapctl", "join-token", "create", "--ttl", "-5")
        self.assertEqual(done.returncode, 2)
        self.assertIn("--ttl: must be 1 or more\n", done.stderr)
        done = self.run_program("rapctl", "join-token", "create", "--ttl", "99999999")
        self.assertEqual(done.returncode, 2)
        self.assertEqual(done.stderr.count("ttl_s"), 1, done.stderr)
        empty = {**self.platform.env(), "RAP_CONFIG_DIR": tempfile.mkdtemp(prefix="rap-words-")}
        self.addCleanup(shutil.rmtree, empty["RAP_CONFIG_DIR"])
        done = self.run_program("rapctl", "login", "--server", self.platform.url, "--login", "x", env=empty)
        self.assertEqual(done.returncode, 3)
        for word in ("--ca-file", "--ca-sha256", "SHA-256 of its key"):
            self.assertIn(word, done.stderr)

    def test_memberships_of_all_organizations(self):
        slug = "second-" + secrets.token_hex(3)
        self.api.post("/v1/organizations", {"name": "Second", "slug": slug})
        rows = self.platform.rapctl_json("membership", "list")
        self.assertGreaterEqual(len({row["organization"] for row in rows}), 2)
        only = self.platform.rapctl_json("membership", "list", "--organization", slug)
        self.assertEqual([row["organization"] for row in only], [slug])

    def test_the_manual_is_found(self):
        lines = (self.platform.folder / "env")
        self.platform.write_env()
        done = subprocess.run(["bash", "-c", f'unset MANPATH; . {lines}; . {lines}; echo "$MANPATH"'],
                              capture_output=True, text=True)
        first, *rest = done.stdout.strip("\n").split(":")
        for page in ("man1/rapctl.1", "man8/rap-node-agent.8", "man8/rap-control-plane.8"):
            self.assertTrue((pathlib.Path(first) / page).exists(), page)
        self.assertEqual(rest[-1], "", "the system's own pages are still found")


def log_of(node):
    return pathlib.Path(node.enroll.log).read_text(errors="replace")


class Roles(EndToEnd):
    def refused(self, status, *words, **fields):
        body = {"node_id": self.platform.node.id, "role": "ssh-worker",
                "organization_id": self.platform.organization_id, **fields}
        return self.assertRefused(lambda: self.api.post(
            f"/v1/clusters/{self.platform.cluster_id}/role-assignments", body), status, *words)

    def test_another_cluster_is_refused_with_the_reason(self):
        cluster = self.api.post("/v1/clusters", {"name": "Other", "slug": "other-" + secrets.token_hex(3)})
        with self.assertRaises(ApiError) as caught:
            self.api.post(f"/v1/clusters/{cluster['id']}/role-assignments",
                          {"node_id": self.platform.node.id, "role": "ssh-worker",
                           "organization_id": self.platform.organization_id})
        self.assertIn("cluster", str(caught.exception))

    def test_unknown_role_and_organization(self):
        with self.assertRaises(ApiError):
            self.api.post(f"/v1/clusters/{self.platform.cluster_id}/role-assignments",
                          {"node_id": self.platform.node.id, "role": "no-such-role"})
        with self.assertRaises(ApiError):
            self.api.post(f"/v1/clusters/{self.platform.cluster_id}/role-assignments",
                          {"node_id": self.platform.node.id, "role": "ssh-worker",
                           "organization_id": "org_00000000000000000000000000"})


class Resources(EndToEnd):
    def test_options_that_the_plugin_does_not_know_are_named_when_it_is_opened(self):
        """The schema is in the plugin, which the control plane cannot read: said at the first open, with the reason."""
        demo = next(r for r in self.api.items(f"/v1/organizations/{self.platform.organization_id}/resources")
                    if r["name"] == "demo-ssh")
        made = self.api.post(f"/v1/organizations/{self.platform.organization_id}/resources", {
            "name": "mistyped", "protocol": "ssh", "cluster_id": demo["cluster_id"], "target": demo["target"],
            "secret_ref": demo["secret_ref"], "options": {**demo["options"], "usr": "root"}})["id"]
        self.addCleanup(self.api.delete, f"/v1/resources/{made}")
        with Terminal([self.platform.bin / "rapctl", "session", "open", "--resource", "mistyped"], self.platform.env(),
                      cols=200) as terminal:
            terminal.expect(r"options: /usr")
            self.assertNotEqual(terminal.wait(), 0)
        session = next(s for s in story.sessions(self.platform) if s["resource_name"] == "mistyped")
        story.wait_state(self.platform, session["id"], "failed")
        self.assertIn("options: /usr", self.api.get(f"/v1/sessions/{session['id']}")["detail"])


class Tenancy(EndToEnd):
    def test_a_session_for_a_resource_of_another_organization(self):
        """It does not exist for her: not by id, not by name, not in a list, and nothing is left behind."""
        password = secrets.token_urlsafe(12)
        organization = self.api.post("/v1/organizations", {"name": "Strangers", "slug": "s-" + secrets.token_hex(3)})
        login = "stranger-" + secrets.token_hex(3)
        user = self.api.post("/v1/users", {"login": login, "display_name": "Sam", "password": password})
        self.api.post(f"/v1/organizations/{organization['id']}/memberships",
                      {"user_id": user["id"], "role": "admin"})
        stranger = Api(self.platform.url, str(self.platform.ca_file))
        stranger.login(login, password)
        resource = self.platform.resources["demo-ssh"]
        before = len(story.sessions(self.platform))
        for body in ({"resource_id": resource}, {"resource": "demo-ssh"},
                     {"resource_id": resource, "organization_id": self.platform.organization_id},
                     {"resource_id": resource, "organization_id": organization["id"]}):
            with self.assertRaises(ApiError) as caught:
                stranger.post("/v1/sessions", {**body, "mode": "control", "client_certificate_sha256": "A" * 43})
            self.assertIn(caught.exception.status, (403, 404), caught.exception)
        for path in (f"/v1/resources/{resource}", f"/v1/organizations/{self.platform.organization_id}",
                     f"/v1/organizations/{self.platform.organization_id}/audit-events"):
            with self.assertRaises(ApiError) as caught:
                stranger.get(path)
            self.assertIn(caught.exception.status, (403, 404), caught.exception)
        for path in ("/v1/clusters", "/v1/users"):
            with self.assertRaises(ApiError) as caught:
                stranger.items(path)
            self.assertEqual(caught.exception.status, 403)
        self.assertEqual(stranger.items("/v1/sessions"), [])
        self.assertEqual(len(story.sessions(self.platform)), before)

    def test_nobody_without_a_token(self):
        nobody = Api(self.platform.url, str(self.platform.ca_file))
        for token in (None, "", "rapses1.x", "x" * 3000, "rapses1." + "A" * 43):
            nobody.token = token
            for path in ("/v1/sessions", "/v1/clusters", "/v1/auth/whoami"):
                with self.assertRaises(ApiError) as caught:
                    nobody.get(path)
                self.assertEqual(caught.exception.status, 401)


class Garbage(EndToEnd):
    """10,000 connections that are not TLS, half TLS, or silent; then the listener serves as before."""

    def throw(self, host, port, count=GARBAGE_CONNECTIONS):
        hello = self.client_hello()
        kinds = [b"\x00" * 64, b"GET / HTTP/1.1\r\n\r\n", os.urandom(512), hello[:40], hello + os.urandom(200), b""]
        failures = []

        def run(first):
            for i in range(first, count, GARBAGE_THREADS):
                try:
                    with socket.create_connection((host, port), 10) as s:
                        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                        s.sendall(kinds[i % len(kinds)])
                except OSError as e:
                    if not isinstance(e, ConnectionResetError) and not isinstance(e, BrokenPipeError):
                        failures.append(e)
        threads = [threading.Thread(target=run, args=(n,)) for n in range(GARBAGE_THREADS)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertFalse(failures[:3], f"{len(failures)} connections were not even accepted")

    @staticmethod
    def client_hello():
        out = ssl.MemoryBIO()
        context = ssl.create_default_context()
        tls = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="x")
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return out.read()

    def open_files(self, pid):
        return len(os.listdir(f"/proc/{pid}/fd"))

    def test_control_plane(self):
        before = self.open_files(self.platform.control.pid)
        self.throw("127.0.0.1", self.platform.port)
        self.platform.control.check()
        self.assertEqual(self.api.raw("GET", "/readyz")[0], 200)
        wait_until(lambda: self.open_files(self.platform.control.pid) < before + 50,
                   "the garbage connections to be closed", self.platform.control.log)

    def test_mesh_listener_while_a_session_is_used(self):
        with story.open_session(self.platform) as terminal:
            pid = story.shell_pid(terminal)
            host, port = self.platform.node.seen()["mesh_endpoint"].rsplit(":", 1)
            self.throw(host, int(port))
            self.assertEqual(story.shell_pid(terminal), pid)
        with story.open_session(self.platform) as again:
            story.shell_pid(again)

