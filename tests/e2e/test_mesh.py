"""One node with the roles of the mesh, the real plugin and control plane: one process, its certificates, its directory and
reports, a session over it, and an agent that is killed meanwhile."""

import json
import re
import subprocess

from devtools import story
from devtools.process import free_port, wait_until
from tests.e2e.shared import EndToEnd

PRODUCT = "plugin.rap.mesh"


class Mesh(EndToEnd):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.node = cls.platform.node
        cls.endpoint = f"127.0.0.1:{free_port('127.0.0.1')}"
        cls.restart(services=[{"role": "core-mesh", "service": "mesh", "listen": cls.endpoint}])
        cls.platform.publish(PRODUCT, "0.1.0", cls.platform.plugins / "mesh.so", 1)

    @classmethod
    def tearDownClass(cls):
        cls.restart()
        super().tearDownClass()

    @classmethod
    def restart(cls, **config):
        cls.node.write_config(**config)
        cls.node.process.stop()
        cls.node.start()
        cls.node.wait_online()

    def setUp(self):
        self.assigned = {}

    def tearDown(self):
        super().tearDown()  # sessions first
        for role in list(self.assigned):
            self.take_away(role)

    def assign(self, role, **config):
        self.assigned[role] = self.node.assign(role, None, policy={"product": PRODUCT, "config": config})

    def take_away(self, role):
        self.api.delete(f"/v1/role-assignments/{self.assigned.pop(role)}")
        wait_until(lambda: role not in self.rows(), f"{role} to be gone", self.node.log)

    def rows(self):
        """By role, as the agent's own status has them; empty while there is no agent."""
        done = subprocess.run([self.platform.bin / "rap-node-agent", "status", "-o", "json", "--config", self.node.config],
                              capture_output=True, text=True)
        return {w["role"]: w for w in json.loads(done.stdout)["workloads"]} if done.returncode == 0 else {}

    def running(self):
        """All assigned roles run, in one process: its pid."""
        def look():
            rows = self.rows()
            pids = {rows[role]["pid"] for role in self.assigned if rows.get(role, {}).get("state") == "running"}
            return len([r for r in self.assigned if rows.get(r, {}).get("state") == "running"]) == len(self.assigned) and pids
        pids = wait_until(look, "the roles of the mesh to run", self.node.log)
        self.assertEqual(len(pids), 1)
        return pids.pop()

    def metric(self, name):
        text = subprocess.run(["curl", "-s", "--unix-socket", self.node.run_dir / "ops.sock", "http://localhost/metrics"],
                              capture_output=True, text=True).stdout
        found = re.search(rf"^rap_agent_{name} (\d+)$", text, re.MULTILINE)
        return int(found.group(1)) if found else 0

    def directory(self):
        """The peer directory as this node keeps it, once it knows where it is reached and what it serves."""
        for file in (self.node.folder / "state" / "directories").glob("*"):
            try:
                told = json.loads(file.read_text())
            except FileNotFoundError:
                continue  # a newer one came
            own = next(n for n in told["nodes"] if n["node_id"] == self.node.id)
            if own.get("endpoints") == [self.endpoint] and "entry-node" in own["roles"] and told["services"]:
                return told
        return None

    def test_session_over_the_mesh_and_an_agent_that_is_killed(self):
        self.assign("core-mesh")
        self.assign("entry-node", public_endpoints=[self.endpoint])
        pid = self.running()
        # Certificates, then the directory, which says the endpoint that the agent put into the report.
        wait_until(self.directory, "a directory with this node", self.node.log)
        self.assertGreater(self.metric("mesh_reports_total"), 0)
        issued = {e["detail"]["purpose"] for e in story.audit_actions(self.platform)
                  if e["kind"] == "mesh.certificate_issued"}
        self.assertEqual(issued, {"mesh", "entry", "service"})

        dials = self.metric("dials_total")
        with story.open_session(self.platform) as terminal:
            shell = story.shell_pid(terminal)
            session = story.only_session(self.platform)["id"]
            self.assertEqual(self.metric("dials_total"), dials + 1)
            wait_until(lambda: self.rows()["entry-node"]["detail"].startswith("1 people"), "the entry to say who is there",
                       self.node.log)
            # Nobody's way: the bytes go on without an agent, and the next one takes over what runs.
            self.node.process.kill9()
            self.assertEqual(story.shell_pid(terminal), shell)
            self.platform.ensure_running()
            self.node.wait_online()
            self.assertEqual(self.running(), pid)
            self.assertEqual(story.shell_pid(terminal), shell)
            # A role more, and one less: the process and the session go on.
            self.assign("relay-node")
            self.assertEqual(self.running(), pid)
            self.take_away("relay-node")
            self.assertEqual(self.running(), pid)
            self.assertEqual(story.shell_pid(terminal), shell)
            self.platform.rapctl("session", "terminate", session)
            terminal.wait()
        story.wait_state(self.platform, session, "closed")

    def test_a_relay_alone_is_degraded(self):
        assignment = self.node.assign("relay-node", None, policy={"product": PRODUCT, "config": {}})
        self.assigned["relay-node"] = assignment
        workload = self.node.wait_workload(assignment, ("degraded",))
        self.assertEqual(workload["detail"], "needs the role core-mesh on this node")
