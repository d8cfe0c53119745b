"""Releases that must not run: another publisher's, swapped on the node's disk, and metadata that was bent."""

import hashlib
import json
import os
import pathlib
import secrets
import shutil
import signal

from devtools import story
from devtools.api import ApiError
from devtools.process import wait_until
from tests.e2e.test_bad_node import NodeTest

VENDOR = "evil"


class WrongPublisher(NodeTest):
    """The platform lets another vendor sign rel/plugin.evil.*: that one signs a plugin.rap.* and nobody believes it."""

    def test_a_plugin_of_another_vendor(self):
        platform, role = self.platform, f"rel.plugin.{VENDOR}"
        platform.sign("delegate", role, "--path", f"rel/plugin.{VENDOR}.*/*/*", "--key", "evil-key")
        version = "6.6.6"
        work = platform.folder / "evil"
        work.mkdir(exist_ok=True)
        plugin = work / "ssh.so"
        plugin.write_bytes((platform.plugins / "ssh.so").read_bytes() + secrets.token_bytes(16))
        manifest = work / "manifest.json"
        platform.run("rap-plugin-check", "manifest", plugin, "--product", story.PRODUCT, "--version", version, "--seq",
                     99, "--out", manifest)
        targets = {}
        variant = json.loads(manifest.read_text())["variants"][0]
        for path, file, kind in ((f"rel/{story.PRODUCT}/{version}/manifest.json", manifest, "manifest"),
                                 (variant["target"], plugin, "artifact")):
            data = file.read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            targets[path] = {"length": len(data), "hashes": {"sha256": digest}, "custom": {
                "kind": kind, "product": story.PRODUCT, "version": version, "release_seq": 99, "security_epoch": 0}}
            at = platform.storage / "targets" / path
            at.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, at.parent / f"{digest}.{at.name}")
        pending = platform.storage / "pending" / f"{role}.json"
        pending.write_text(json.dumps({"signatures": [], "signed": {
            "_type": "targets", "spec_version": "1.0.31", "version": 2, "expires": "2036-01-01T00:00:00Z",
            "targets": targets}}))
        platform.sign("sign", pending, "--key", "evil-key")
        platform.sign("commit")

        report = self.api.post("/v1/releases/sync")
        self.assertRegex(" ".join(report["skipped"]), f"{version}/manifest.json.*no role that may sign it lists it")
        self.assertNotIn(version, [r["version"] for r in self.api.items("/v1/releases")])
        name = "evil-" + secrets.token_hex(3)
        organization = self.api.post("/v1/organizations", {"name": name, "slug": name})["id"]
        assignment = platform.node.assign("ssh-worker", organization,
                                          policy={"product": story.PRODUCT, "version": version})
        self.addCleanup(lambda: self.api.delete(f"/v1/role-assignments/{assignment}"))
        workload = platform.node.wait_workload(assignment, ("degraded",))
        self.assertIn(f"lists no {story.PRODUCT} {version}", workload["detail"])
        self.assertEqual(list((platform.node.folder / "state" / "store").rglob(
            hashlib.sha256(plugin.read_bytes()).hexdigest())), [])


class Swapped(NodeTest):
    def test_between_verify_and_load(self):
        """The verified artifact is replaced in the node's store; the worker dies and the next one must not get it."""
        node = self.platform.node
        store = node.folder / "state" / "store"
        worker = wait_until(self.worker, "the worker of the platform's organization", node.log)
        artifact = store / worker["sha256"][:2] / worker["sha256"]
        good = artifact.read_bytes()
        evil = (self.platform.plugins / "echo.so").read_bytes()
        refused = self.metric("rap_agent_artifacts_refused_total")
        artifact.chmod(0o600)
        artifact.write_bytes(evil.ljust(len(good), b"\0")[:len(good)])
        old = worker["pid"]
        os.kill(old, signal.SIGKILL)
        wait_until(lambda: self.metric("rap_agent_artifacts_refused_total") > refused, "a refusal", node.log)
        self.assertIn("was changed on disk", pathlib.Path(node.log).read_text(errors="replace"))
        again = wait_until(lambda: (w := self.worker()) and w["pid"] != old and w, "the downloaded one to run",
                           node.log)
        self.assertEqual(again["detail"], "")
        self.assertEqual(artifact.read_bytes(), good)
        self.assertTrue((store / "quarantine" / artifact.name).exists())
        with story.open_session(self.platform) as terminal:
            story.shell_pid(terminal)

    def worker(self):
        """The running worker of the platform's own organization; other tests may have left others."""
        return next((w for w in self.status()["workers"] if w["state"] == "running"
                     and w["organization"] == self.platform.organization_id), None)


class BentMetadata(NodeTest):
    """R as a thief of the mirror could bend it, with old and new files that are all rightly signed."""

    def setUp(self):
        self.metadata = self.platform.storage / "metadata"
        self.before, self.kept = {}, {p.name: p.read_bytes() for p in self.metadata.iterdir()}

    def tearDown(self):
        for path in self.metadata.iterdir():
            if path.name not in self.kept:
                path.unlink()
        for name, data in self.kept.items():
            (self.metadata / name).write_bytes(data)
        self.api.post("/v1/releases/sync")
        super().tearDown()

    def refused(self, *codes):
        before = self.api.items("/v1/releases")
        with self.assertRaises(ApiError) as caught:
            self.api.post("/v1/releases/sync")
        self.assertIn(caught.exception.status, (422, 502, 503), caught.exception)
        self.assertIn(caught.exception.code, codes, caught.exception)
        self.assertEqual(self.api.items("/v1/releases"), before)
        return str(caught.exception)

    def edit(self, name, change):
        document = json.loads((self.metadata / name).read_text())
        change(document)
        (self.metadata / name).write_text(json.dumps(document))

    def newer(self):
        """The next timestamp and snapshot, so that the client really reads them."""
        self.platform.sign("timestamp")
        self.before, self.kept = self.kept, {p.name: p.read_bytes() for p in self.metadata.iterdir()}
        stamp = json.loads((self.metadata / "timestamp.json").read_text())
        return f"{stamp['signed']['meta']['snapshot.json']['version']}.snapshot.json"

    def test_unsigned(self):
        self.newer()
        self.edit("timestamp.json", lambda d: d.update(signatures=[]))
        self.assertRegex(self.refused("bad_signature", "malformed"), "signature|threshold")

    def test_mixed(self):
        """Today's timestamp with yesterday's snapshot under today's name."""
        name = self.newer()
        old = json.loads(self.before["timestamp.json"])["signed"]["meta"]["snapshot.json"]["version"]
        (self.metadata / name).write_bytes(self.before[f"{old}.snapshot.json"])
        self.refused("mismatch", "rollback", "too_large")

    def test_over_long(self):
        self.newer()
        with open(self.metadata / "timestamp.json", "ab") as f:
            f.write(b" " * (1 << 20))
        self.assertRegex(self.refused("too_large"), "timestamp")
