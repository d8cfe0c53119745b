"""One node agent with its own folder: enroll, run, kill, and what the control plane says about it."""

import json
import pathlib
import shutil
import tempfile

from devtools.process import Failed, Process, wait_until

RUN_DIR_MAX = 60  # the agent's limit: a socket path has 108 bytes, and instance names follow


class Node:
    """`wrapper` is put in front of the agent's command: a namespace, a fake clock. `settings` go into its agent.yaml."""

    def __init__(self, platform, name, wrapper=(), **settings):
        self.platform, self.name, self.wrapper = platform, name, [str(w) for w in wrapper]
        self.settings = settings
        self.folder = platform.folder / name
        self.token_file = self.folder / "join-token"
        self.log = platform.logs / f"{name}.log"
        self.id = self.cluster = None  # a cluster of its own; else the platform's
        self.process = self.enroll = None
        self._short_run = None
        for folder in (self.folder, self.folder / "state"):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)

    @property
    def config(self):
        return self.folder / "agent.yaml"

    @property
    def run_dir(self):
        wanted = self.folder / "run"
        if len(str(wanted)) <= RUN_DIR_MAX:
            return wanted
        # The clone lies too deep for a socket path; this one folder goes to the system's temporary place.
        self._short_run = self._short_run or pathlib.Path(tempfile.mkdtemp(prefix="rap-run-"))
        return self._short_run

    def write_config(self, **changes):
        config = {"server": self.platform.url, "state_dir": str(self.folder / "state"),
                  "run_dir": str(self.run_dir), "node_name": self.name, "mesh": {"listen": "127.0.0.1:0"},
                  "release_root": str(self.platform.release_root),
                  "heartbeat": {"min_interval_ms": 1000, "max_interval_ms": 5000}, **self.settings, **changes}
        self.config.write_text(json.dumps(config, indent=1) + "\n")  # JSON is YAML

    def agent(self, *arguments):
        return self.wrapper + [str(self.platform.bin / "rap-node-agent"), *map(str, arguments)]

    @property
    def cluster_id(self):
        return self.cluster or self.platform.cluster_id

    def make_token(self, **fields):
        body = {"ttl_s": 600, "max_uses": 1, "scope": {}, **fields}
        made = self.platform.api.post(f"/v1/clusters/{self.cluster_id}/join-tokens", body)
        self.platform.write_secret(self.token_file, made["token"])
        return made

    def start_enroll(self):
        self.write_config()
        self.enroll = Process(f"{self.name}: enroll", self.agent(
            "enroll", "--config", self.config, "--server", self.platform.url, "--token-file", self.token_file),
            self.platform.logs / f"{self.name}-enroll.log")

    def join_request(self):
        """The pending request of this node's name, or None."""
        path = f"/v1/clusters/{self.cluster_id}/join-requests"
        for request in self.platform.api.items(path):
            if request["status"] == "pending" and request["node_name"] == self.name:
                return request
        return None

    def wait_join_request(self):
        return self.enroll.wait_ready(self.join_request, "its join request")

    def approve(self, request):
        approved = self.accept(request)
        self.wait_enrolled()
        return approved

    def accept(self, request):
        """The person's part of it; the agent looks every two seconds."""
        approved = self.platform.rapctl_json("join-request", "approve", request["id"])
        self.id = approved["node_id"]
        return approved

    def wait_enrolled(self):
        wait_until(lambda: not self.enroll.alive(), "the agent to take its certificate", self.enroll.log)
        if self.enroll.popen.returncode != 0:
            self.enroll.check()

    def start(self):
        self.process = Process(f"agent {self.name}", self.agent("run", "--config", self.config), self.log)

    def join(self):
        """All of it: token, request, approval, first heartbeat."""
        self.make_token()
        self.start_enroll()
        self.approve(self.wait_join_request())
        self.start()
        self.wait_online()
        return self

    @property
    def pid(self):
        return self.process.pid

    def seen(self):
        return self.platform.api.get(f"/v1/nodes/{self.id}")

    def online(self):
        """What the control plane says, once this process has sent a heartbeat."""
        self.process.check()
        node = self.seen()
        beat = node.get("heartbeat") or {}
        return node if node["presence"] == "online" and beat else None

    def wait_online(self):
        return wait_until(self.online, f"a heartbeat of {self.name}", self.log)

    def workload(self, assignment_id):
        return next((w for w in self.seen()["workloads"] if w["assignment_id"] == assignment_id), None)

    def assign(self, role, organization_id, **fields):
        return self.platform.api.post(
            f"/v1/clusters/{self.cluster_id}/role-assignments",
            {"node_id": self.id, "role": role, "organization_id": organization_id, **fields})["id"]

    def wait_workload(self, assignment_id, states):
        """Waits for one of `states`; a worker that is `failed` when that was not wanted ends the wait."""
        def look():
            workload = self.workload(assignment_id)
            if workload and workload["state"] in states:
                return workload
            if workload and workload["state"] == "failed":
                raise Failed(f"{workload['role']} failed: {workload['detail']}", self.log)
            return None
        try:
            return wait_until(look, f"workload state {' or '.join(states)}", self.log, every_s=0.1)
        except Failed as e:
            if "not within" in str(e):
                raise Failed(f"{e}; it is {self.workload(assignment_id)}", self.log) from None
            raise

    def stop(self):
        for part in (self.enroll, self.process):
            if part:
                part.stop()
        if self._short_run:
            shutil.rmtree(self._short_run, ignore_errors=True)
            self._short_run = None
