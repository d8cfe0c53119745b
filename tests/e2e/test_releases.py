"""What reaches a node: only what two signed, unchanged, for this platform; anything else is degraded, with the reason."""

import json
import os
import re
import secrets
import signal

from devtools import story
from devtools.api import ApiError
from devtools.process import wait_until
from tests.e2e.shared import EndToEnd


class Releases(EndToEnd):
    version = 1  # of the ssh plugin; each test publishes the next

    def setUp(self):
        name = "rel-" + secrets.token_hex(3)
        self.organization = self.api.post("/v1/organizations", {"name": name, "slug": name})["id"]
        self.assignments = []
        self.addCleanup(self.remove_assignments)

    def remove_assignments(self):
        for assignment in self.assignments:
            self.api.delete(f"/v1/role-assignments/{assignment}")

    def assign(self, role="ssh-worker", **fields):
        self.assignments.append(self.platform.node.assign(role, self.organization, **fields))
        return self.assignments[-1]

    def publish_next(self, **options):
        """The plugin with other bytes as the next version, on no channel; (version, artifact in Version Storage).

        Other bytes behind the last segment: a node keeps artifacts by hash and would not download these again.
        """
        Releases.version += 1
        version = f"0.1.{Releases.version}"
        plugin = self.platform.folder / f"ssh-{version}.so"
        plugin.write_bytes((self.platform.plugins / "ssh.so").read_bytes() + secrets.token_bytes(32))
        variant = self.platform.publish(story.PRODUCT, version, plugin, Releases.version,
                                        **{"channel": None, **options})
        return version, self.artifact(variant)

    def artifact(self, variant):
        return next((self.platform.storage / "targets" / variant["target"]).parent.glob("*.so"))

    def assertDegraded(self, assignment, pattern):
        def look():
            workload = self.platform.node.workload(assignment)
            return workload if workload and workload["state"] in ("degraded", "failed") and re.search(
                pattern, workload["detail"], re.I) else None
        try:
            return wait_until(look, f"degraded with {pattern}", self.platform.node.log, every_s=0.2)
        except Exception as e:
            raise AssertionError(f"{e}; it is {self.platform.node.workload(assignment)}") from None

    def assertAudited(self, kind, subject):
        """The node itself said so, in the cluster's audit log."""
        def look():
            events = self.api.items(f"/v1/clusters/{self.platform.cluster_id}/audit-events")
            return [e for e in events if (e["kind"], e["subject"]) == (kind, subject)]
        told = wait_until(look, f"{kind} of {subject} in the audit log", self.platform.node.log, every_s=0.2)
        self.assertEqual(told[0]["actor"]["kind"], "node")

    def assertSessionsGoOn(self):
        with story.open_session(self.platform) as terminal:
            story.shell_pid(terminal)

    def test_one_flipped_bit_is_not_loaded_and_heals(self):
        version, artifact = self.publish_next()
        good = artifact.read_bytes()
        bad = bytearray(good)
        bad[len(bad) // 2] ^= 0x10
        self.replace(artifact, bytes(bad))
        assignment = self.assign(policy={"product": story.PRODUCT, "version": version})
        said = self.assertDegraded(assignment, r"hash|sha256|mismatch|length")["detail"]
        self.assertEqual(said.count(f"rel/{story.PRODUCT}/{version}/"), 1, said)
        self.assertAudited("node.artifact_refused", f"{story.PRODUCT} {version}")
        self.assertSessionsGoOn()
        self.replace(artifact, good)
        self.platform.node.wait_workload(assignment, story.RUNNING)

    def test_the_version_before_serves_while_the_new_one_is_refused(self):
        """`current` moves to a release with a flipped bit: what ran goes on with new sessions, also in a new worker."""
        node = self.platform.node
        before = next(w for w in node.seen()["workloads"] if w["role"] == "ssh-worker" and w["state"] == "running")
        kept = {}

        def flip(variant):
            artifact = self.artifact(variant)
            kept[artifact] = artifact.read_bytes()
            bad = bytearray(kept[artifact])
            bad[len(bad) // 2] ^= 0x10
            self.replace(artifact, bytes(bad))

        version, artifact = self.publish_next(channel="current", before_sync=flip)
        self.addCleanup(lambda: self.replace(artifact, kept[artifact]))
        said = f"^runs {re.escape(before['version'])}; {re.escape(version)} was refused: .*(hash|sha256|mismatch)"
        seen = self.assertDegraded(before["assignment_id"], said)
        self.assertEqual((seen["version"], seen["pid"]), (before["version"], before["pid"]))
        self.assertSessionsGoOn()
        os.kill(before["pid"], signal.SIGKILL)
        wait_until(lambda: (w := node.workload(before["assignment_id"])) and w["pid"] not in (None, 0, before["pid"]),
                   "another worker of the version before", node.log, every_s=0.2)
        self.assertDegraded(before["assignment_id"], said)
        self.assertSessionsGoOn()
        never_ran = self.assign(policy={"product": story.PRODUCT, "version": version})
        self.assertFalse(self.assertDegraded(never_ran, r"hash|sha256|mismatch")["detail"].startswith("runs"))

        self.replace(artifact, kept[artifact])
        wait_until(lambda: (w := node.workload(before["assignment_id"]))["version"] == version and
                   w["state"] == "running", "the new version to run", node.log, every_s=0.2)
        self.assertSessionsGoOn()

    def test_truncated_and_longer(self):
        version, artifact = self.publish_next()
        good = artifact.read_bytes()
        self.replace(artifact, good[:-1])
        assignment = self.assign(policy={"product": story.PRODUCT, "version": version})
        self.assertDegraded(assignment, r"length|short|long|hash|expected|mismatch")
        self.replace(artifact, good + b"x")
        self.assertSessionsGoOn()
        self.replace(artifact, good)
        self.platform.node.wait_workload(assignment, story.RUNNING)

    @staticmethod
    def replace(path, data):
        new = path.with_suffix(".new")
        new.write_bytes(data)
        new.rename(path)

    def test_a_release_that_does_not_exist_is_degraded_with_the_reason(self):
        assignment = self.assign(policy={"product": story.PRODUCT, "version": "9.9.9"})
        workload = self.assertDegraded(assignment, rf"lists no {re.escape(story.PRODUCT)} 9\.9\.9")
        self.assertEqual(workload["state"], "degraded")

    def test_metadata_of_an_unknown_signer_is_not_synced(self):
        """R as a stranger would write it: the control plane keeps what it had and says why."""
        before = self.api.items("/v1/releases")
        timestamp = self.platform.storage / "metadata" / "timestamp.json"
        good = timestamp.read_text()
        forged = json.loads(good)
        forged["signed"]["version"] += 1
        timestamp.write_text(json.dumps(forged))
        try:
            with self.assertRaises(ApiError) as caught:
                self.api.post("/v1/releases/sync")
            self.assertRegex(str(caught.exception).lower(), r"signature|threshold")
        finally:
            timestamp.write_text(good)
        self.assertEqual(self.api.items("/v1/releases"), before)
        self.api.post("/v1/releases/sync")

    def test_rolled_back_metadata_is_refused(self):
        metadata = self.platform.storage / "metadata"
        old = (metadata / "timestamp.json").read_text()
        self.publish_next()
        new = (metadata / "timestamp.json").read_text()
        (metadata / "timestamp.json").write_text(old)
        try:
            with self.assertRaises(ApiError) as caught:
                self.api.post("/v1/releases/sync")
            self.assertRegex(str(caught.exception).lower(), r"roll|older|version|lower")
        finally:
            (metadata / "timestamp.json").write_text(new)
        self.api.post("/v1/releases/sync")
