"""What a node says of itself for the cluster's audit log: each kind of event, by making it happen."""

import json
import os
import pathlib
import secrets
import signal
import subprocess
import sys

from devtools import story
from devtools.node import Node
from devtools.process import wait_until
from tests.e2e.shared import EndToEnd, clock

WITHOUT_LANDLOCK = [sys.executable, pathlib.Path(__file__).with_name("without_landlock.py")]


class NodeEvents(EndToEnd):
    """On nodes of their own: the same kind and subject of one node is told once in ten minutes."""

    def join(self, name, wrapper=()):
        node = Node(self.platform, name, wrapper).join()
        self.addCleanup(node.stop)
        self.addCleanup(lambda: self.api.post(f"/v1/nodes/{node.id}/revoke", {"reason": "end of the test"}))
        self.addCleanup(subprocess.run, node.agent("stop", "--all", "--config", node.config), capture_output=True)
        return node

    def assign(self, node):
        name = "told-" + secrets.token_hex(3)
        organization = self.api.post("/v1/organizations", {"name": name, "slug": name})["id"]
        return node.assign("ssh-worker", organization)

    def told(self, node, kind, subject):
        """The first such event of that node, by itself."""
        def look():
            events = self.api.items(f"/v1/clusters/{self.platform.cluster_id}/audit-events")
            return next((e for e in events if e["kind"] == f"node.{kind}" and e["subject"] == subject
                         and e["actor"] == {**e["actor"], "kind": "node", "id": node.id}), None)
        return wait_until(look, f"{kind} of {subject} in the audit log", node.log, every_s=0.2)

    def restart(self, node, wrapper=()):
        node.process.stop()
        node.wrapper = [str(w) for w in wrapper]
        node.start()

    def test_clock_wrong(self):
        node = self.join("clockwork")
        wait_until(lambda: (node.folder / "state" / "floor.json").exists(), "a time that was seen", node.log)
        self.restart(node, clock("-400d"))
        wait_until(lambda: "the clock of this host is wrong" in pathlib.Path(node.log).read_text(),
                   "notice", node.log)
        self.restart(node)
        self.assertIn("already was", json.dumps(self.told(node, "clock_wrong", "clock")))

    def test_clock_wrong_so_far_ahead_that_the_certificate_seems_over(self):
        """Known only when the clock is right again, under the agent that runs."""
        node = self.join("ahead")
        setting = node.folder / "clock"
        setting.write_text("+400d\n")
        self.restart(node, [w for w in clock("+0") if not w.startswith("FAKETIME=")]
                     + [f"FAKETIME_TIMESTAMP_FILE={setting}", "FAKETIME_CACHE_DURATION=1"])
        wait_until(lambda: "enroll --token-file" in pathlib.Path(node.log).read_text(), "a word about it", node.log)
        setting.write_text("+0\n")
        self.assertIn("had ended, and it has not", json.dumps(self.told(node, "clock_wrong", "clock")))

    def test_metadata_refused(self):
        node = self.join("reader")
        node.wait_workload(self.assign(node), story.RUNNING)  # without a role it does not look at R
        timestamp = self.platform.storage / "metadata" / "timestamp.json"
        good = timestamp.read_text()
        forged = json.loads(good)
        forged["signed"]["version"] += 1
        try:
            timestamp.write_text(json.dumps(forged))
            self.restart(node)
            self.assertIn("signature", json.dumps(self.told(node, "metadata_refused", "release")))
        finally:
            timestamp.write_text(good)

    def test_workload_failed_and_recovered(self):
        node = self.join("builder")
        node.write_config(limits={"restarts_max": 1})
        self.restart(node)
        assignment = self.assign(node)
        node.wait_workload(assignment, story.RUNNING)
        ended = set()
        while node.workload(assignment)["state"] != "failed":
            worker = wait_until(lambda: (w := node.workload(assignment)) and (
                w["state"] == "failed" or w["pid"] not in ended) and w, "the next worker", node.log)
            if worker["state"] == "running" and worker["pid"]:
                ended.add(worker["pid"])
                os.kill(worker["pid"], signal.SIGKILL)
        self.assertEqual(len(ended), 2)
        self.assertIn("ssh-worker", json.dumps(self.told(node, "workload_failed", assignment)))
        self.assign(node)  # a change of what the node should run is a reason to try again
        self.told(node, "workload_recovered", assignment)
        # Events are faster than heartbeats: the list may say for a moment what was before.
        wait_until(lambda: node.workload(assignment)["state"] in story.RUNNING, "running in the list", node.log)

    def test_sandbox_degraded(self):
        node = self.join("bare", WITHOUT_LANDLOCK)
        node.wait_workload(self.assign(node), story.RUNNING)
        self.assertIn("landlock", json.dumps(self.told(node, "sandbox_degraded", "sandbox")).lower())
