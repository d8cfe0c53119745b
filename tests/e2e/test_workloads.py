"""A plugin without sessions: role assigned, downloaded, verified, running with its port, healthy again after a crash."""

import json
import os
import signal
import socket
import subprocess

from devtools import story
from devtools.process import PATIENCE_S, wait_until
from tests.e2e.shared import EndToEnd

PRODUCT = "plugin.rap.echo-service"


class Workloads(EndToEnd):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        node = cls.platform.node
        # The host's word: without it the workload runs and nobody can reach it.
        node.write_config(services=[{"role": "echo-service", "service": "echo", "listen": "127.0.0.1:0"}])
        node.process.stop()
        node.start()
        node.wait_online()
        cls.platform.publish(PRODUCT, "0.1.0", cls.platform.plugins / "echo-service.so", 1)

    def setUp(self):
        self.node = self.platform.node
        self.assignments = []

    def tearDown(self):
        for assignment in self.assignments:
            self.api.delete(f"/v1/role-assignments/{assignment}")
        super().tearDown()

    def assign(self, config):
        self.assignments.append(self.node.assign(
            "echo-service", self.platform.organization_id, policy={"product": PRODUCT, "config": config}))
        return self.assignments[-1]

    def worker(self):
        """This workload as the agent's own status shows it."""
        done = subprocess.run([self.platform.bin / "rap-node-agent", "status", "-o", "json", "--config",
                               self.node.config], capture_output=True, text=True)
        workers = json.loads(done.stdout)["workers"] if done.returncode == 0 else []
        return next((w for w in workers if w["product"] == PRODUCT and w["state"] == "running"), None)

    def say(self, text):
        address = wait_until(lambda: (self.worker() or {}).get("services"), "its port", self.node.log)[0]["address"]
        host, port = address.rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as stream:
            greeting = stream.recv(100)
            stream.sendall(text)
            return greeting, stream.recv(100)

    def test_runs_serves_and_comes_back(self):
        assignment = self.assign({"greeting": "hello\n"})
        workload = self.node.wait_workload(assignment, story.RUNNING)
        self.assertEqual(workload["version"], "0.1.0")
        self.assertEqual(self.say(b"ping"), (b"hello\n", b"ping"))
        layers = {layer["name"]: layer["state"] for layer in self.worker()["layers"]}
        self.assertEqual(layers["seccomp"], "active")
        shown = subprocess.run([self.platform.bin / "rap-node-agent", "status", "--config", self.node.config],
                               capture_output=True, text=True).stdout
        self.assertRegex(shown, rf"echo-service 0\.1\.0 +running +{self.platform.organization_id}\b")

        pid = self.worker()["pid"]
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: (self.worker() or {}).get("pid") not in (None, pid), "a new worker", self.node.log)
        self.assertEqual(self.say(b"again"), (b"hello\n", b"again"))

        # The agent is nobody's way: killed, the port goes on; the next one adopts the same process.
        worker = self.worker()
        address = worker["services"][0]["address"].rsplit(":", 1)
        self.node.process.kill9()
        with socket.create_connection((address[0], int(address[1])), timeout=PATIENCE_S) as stream:
            self.assertEqual(stream.recv(100), b"hello\n")
        self.platform.ensure_running()
        self.node.wait_online()
        wait_until(lambda: (self.worker() or {}).get("pid") == worker["pid"], "adoption", self.node.log)
        self.assertEqual(self.worker()["services"], worker["services"])

    def test_configuration_that_does_not_fit_is_degraded(self):
        assignment = self.assign({"greeting": 7})
        workload = self.node.wait_workload(assignment, ("degraded",))
        self.assertIn("config: /greeting", workload["detail"])
        self.assertIsNone(self.worker())
