"""The agent's disk is full: it goes on, says so, and heals by itself when there is room again."""

import os
import pathlib
import re
import secrets
import subprocess
import unittest

from devtools import story
from devtools.node import Node
from devtools.process import Process, wait_until
from tests.e2e.shared import EndToEnd

DISK = "8m"  # room for identity and metadata, and for the plugin once the filler is gone


@unittest.skipUnless(os.geteuid() == 0, "a small file system needs root")
class FullDisk(EndToEnd):
    def test_no_space_for_a_plugin(self):
        node = Node(self.platform, "small-disk")
        state = node.folder / "state"
        # A mount namespace that lives as long as its holder; the agent's commands enter it.
        holder = Process("small disk", ["unshare", "--mount", "--propagation", "private", "--", "/bin/sh", "-ec",
                                        f"mount -t tmpfs -o mode=700,size={DISK} tmpfs '{state}'; exec sleep 600"],
                         self.platform.logs / "small-disk-holder.log")
        self.addCleanup(holder.stop)
        self.addCleanup(node.stop)
        inside = ["nsenter", f"--mount=/proc/{holder.pid}/ns/mnt", "--"]
        wait_until(lambda: subprocess.run(inside + ["mountpoint", "-q", str(state)]).returncode == 0, "the mount")
        node.wrapper = inside
        node.join()
        filler = state / "filler"
        subprocess.run(inside + ["dd", "if=/dev/zero", f"of={filler}", "bs=64k"], capture_output=True)

        name = "disk-" + secrets.token_hex(3)
        organization = self.api.post("/v1/organizations", {"name": name, "slug": name})["id"]
        assignment = node.assign("ssh-worker", organization)
        self.addCleanup(lambda: self.api.post(f"/v1/nodes/{node.id}/revoke", {"reason": "end of the test"}))

        def complains():
            workload = node.workload(assignment)
            return workload and re.search(r"space|disk|full", workload["detail"], re.I) or "space left" in log()

        def log():
            return pathlib.Path(node.log).read_text(errors="replace")

        wait_until(complains, "a word about the disk", node.log, every_s=0.2)
        node.process.check()
        self.assertNotIn((node.workload(assignment) or {}).get("state"), story.RUNNING)
        before = node.seen()["last_heartbeat_at"]
        wait_until(lambda: node.seen()["last_heartbeat_at"] != before, "heartbeats to go on", node.log)

        subprocess.run(inside + ["rm", str(filler)], check=True)
        node.wait_workload(assignment, story.RUNNING)
