"""rapctl against a running platform: what it offers at the Tab key, and what it says when a session does not open."""

import json
import secrets
import subprocess
import unittest

from devtools import story
from devtools.node import Node
from devtools.process import PATIENCE_S
from tests.e2e.shared import EndToEnd


class Completion(EndToEnd):
    def offered(self, *words):
        done = subprocess.run([self.platform.bin / "rapctl", "complete", "--", *words], capture_output=True, text=True,
                              timeout=PATIENCE_S, env=self.platform.env())
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.split()

    def test_names_come_from_the_control_plane(self):
        self.assertIn("demo-ssh", self.offered("session", "open", "--resource", ""))
        begun = self.offered("-o", "json", "resource", "show", "demo-s")
        self.assertIn("demo-ssh", begun)
        self.assertTrue(all(name.startswith("demo-s") for name in begun), begun)
        self.assertIn(self.platform.node.name, self.offered("role", "assign", "ssh-worker", "--node", ""))
        self.assertIn("demo", self.offered("cluster", "show", "d"))
        self.assertTrue(self.offered("membership", "add", ""))  # logins


class Words(EndToEnd):
    def test_sync_says_what_it_found(self):
        done = self.platform.rapctl("release", "sync")
        self.assertRegex(done, r"Version Storage lists \d+ releases: 0 new, 0 no longer listed")

    def test_a_role_with_policy_and_configuration(self):
        slug = "policy-" + secrets.token_hex(3)
        self.api.post("/v1/organizations", {"name": "Policy", "slug": slug})
        made = self.platform.rapctl_json("role", "assign", "ssh-worker", "--cluster", self.platform.cluster_id,
                                         "--node", self.platform.node.name, "--organization", slug, "--version", "9.9.9",
                                         "--policy", '{"product":"plugin.acme.x","version":"1"}', "--config", '{"a":1}')
        self.addCleanup(self.api.delete, f"/v1/role-assignments/{made['id']}")
        self.assertEqual(made["policy"], {"product": "plugin.acme.x", "version": "9.9.9", "config": {"a": 1}})

    def test_a_version_that_is_not_there_is_remarked(self):
        slug = "later-" + secrets.token_hex(3)
        self.api.post("/v1/organizations", {"name": "Later", "slug": slug})
        words = ("role", "assign", "ssh-worker", "--cluster", self.platform.cluster_id, "--node",
                 self.platform.node.name, "--organization", slug)
        listed = next(r["version"] for r in self.api.get("/v1/releases")["items"] if r["product"] == "plugin.rap.ssh")
        for version, remark in (("9.9.9", "Version Storage lists no plugin.rap.ssh 9.9.9"), (listed, "")):
            done = subprocess.run([self.platform.bin / "rapctl", *words, "--product", "plugin.rap.ssh", "--version", version,
                                   "-o", "json"], capture_output=True, text=True, timeout=PATIENCE_S,
                                  stdin=subprocess.DEVNULL, env=self.platform.env())
            self.assertEqual(done.returncode, 0, done.stderr)
            self.api.delete(f"/v1/role-assignments/{json.loads(done.stdout)['id']}")
            self.assertIn(remark, done.stderr)
            self.assertEqual(bool(done.stderr), bool(remark), done.stderr)

    def test_options_that_the_plugin_does_not_take_are_named_by_it(self):
        demo = self.platform.rapctl_json("resource", "show", "demo-ssh")
        made = self.api.post(f"/v1/organizations/{demo['organization_id']}/resources", {
            "name": "odd-options", "protocol": "ssh", "cluster_id": demo["cluster_id"], "target": demo["target"],
            "secret_ref": demo["secret_ref"], "options": {**demo["options"], "auth": "telepathy"}})
        self.addCleanup(self.api.delete, f"/v1/resources/{made['id']}")
        done = subprocess.run([self.platform.bin / "rapctl", "session", "open", "--resource", "odd-options"],
                              capture_output=True, text=True, timeout=PATIENCE_S, stdin=subprocess.DEVNULL,
                              env=self.platform.env())
        self.assertEqual(done.returncode, 253, done.stderr)
        self.assertIn("failed", done.stderr)
        self.assertIn("/auth", done.stderr)

    def test_a_session_that_the_node_refuses_is_over_and_not_said_to_be_there(self):
        node = Node(self.platform, "small", limits={"sessions_max": 1}).join()
        self.addCleanup(node.stop)
        slug = "small-" + secrets.token_hex(3)
        self.api.post("/v1/organizations", {"name": "Small", "slug": slug})
        rapctl = self.platform.rapctl_json
        rapctl("membership", "add", "owner", "--organization", slug)
        role = rapctl("role", "assign", "ssh-worker", "--cluster", self.platform.cluster_id, "--node", node.id,
                      "--organization", slug)["id"]
        self.addCleanup(self.api.delete, f"/v1/role-assignments/{role}")
        node.wait_workload(role, story.RUNNING)
        secret = rapctl("secret", "put", "key", "--from-file", self.platform.sshd.client_key, "--organization", slug)["id"]
        options = {"user": self.platform.sshd.invoker, "auth": "publickey", "known_hosts": [self.platform.sshd.known_host]}
        resource = rapctl("resource", "create", "--name", slug, "--organization", slug, "--cluster", self.platform.cluster_id,
                          "--target", f"127.0.0.1:{self.platform.sshd.port}", "--secret", secret, "--options",
                          json.dumps(options))["id"]
        self.addCleanup(self.api.delete, f"/v1/resources/{resource}")
        listed = lambda: {s["id"] for s in rapctl("session", "list", "--organization", slug)}
        with story.open_session(self.platform, slug):
            first = listed()
            done = subprocess.run([self.platform.bin / "rapctl", "session", "open", "--resource", slug], text=True,
                                  capture_output=True, timeout=PATIENCE_S, stdin=subprocess.DEVNULL, env=self.platform.env())
            self.assertIn("this node has 1 sessions, which is its limit", done.stderr)
            self.assertNotIn("may be there", done.stderr)
            self.assertNotEqual(done.returncode, 0)
            (refused,) = listed() - first
            story.wait_state(self.platform, refused, "failed")
            self.assertIn("which is its limit", self.api.get(f"/v1/sessions/{refused}")["detail"])

    def test_a_pipe_into_the_examples_ends(self):
        """What the plugin guide tells people to write: the end of the pipe is the end of the session."""
        slug = "echo-" + secrets.token_hex(3)
        organization = self.api.post("/v1/organizations", {"name": "Echo", "slug": slug})["id"]
        rapctl = self.platform.rapctl_json
        rapctl("membership", "add", "owner", "--organization", slug)
        self.platform.publish("plugin.rap.example", "1.0.0", self.platform.plugins / "echo.so", 1)
        role = self.platform.node.assign("echo-worker", organization, policy={"product": "plugin.rap.example"})
        self.addCleanup(self.api.delete, f"/v1/role-assignments/{role}")
        self.platform.node.wait_workload(role, story.RUNNING)
        resource = rapctl("resource", "create", "--name", slug, "--organization", slug, "--cluster", self.platform.cluster_id,
                          "--protocol", "echo", "--target", "127.0.0.1:1")["id"]
        self.addCleanup(self.api.delete, f"/v1/resources/{resource}")
        done = subprocess.run([self.platform.bin / "rapctl", "session", "open", "--resource", slug], input="last words\n",
                              capture_output=True, text=True, timeout=PATIENCE_S, env=self.platform.env())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("last words", done.stdout)


if __name__ == "__main__":
    unittest.main()
