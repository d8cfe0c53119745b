"""Parts that die and come back: what a person notices, and that nothing is lost."""

import json
import os
import pathlib
import subprocess
import unittest

from devtools import story
from devtools.process import descendants_of, start_time, wait_until
from tests.e2e.shared import EndToEnd


class PartsFail(EndToEnd):
    def still_the_same(self, terminal, pid):
        self.assertEqual(story.shell_pid(terminal), pid)

    def test_postgresql_killed_and_back(self):
        with story.open_session(self.platform) as terminal:
            pid = story.shell_pid(terminal)
            session = story.only_session(self.platform)["id"]
            self.platform.postgres.kill9()
            self.still_the_same(terminal, pid)
            status, _, body = self.api.raw("GET", f"/v1/sessions/{session}")
            self.assertEqual(status, 503, body)
            self.assertEqual(self.api.raw("GET", "/livez")[0], 200)
            self.assertNotEqual(self.api.raw("GET", "/readyz")[0], 200)
            self.platform.postgres.start()
            wait_until(lambda: self.api.raw("GET", "/readyz")[0] == 200, "ready again")
            story.wait_state(self.platform, session, "active")  # the node may have to tell it again
            self.still_the_same(terminal, pid)
        verdict = self.api.get(f"/v1/clusters/{self.platform.cluster_id}/audit-events/verify")
        self.assertTrue(verdict["valid"], verdict)

    def test_redis_flushed_and_killed_and_back(self):
        with story.open_session(self.platform) as terminal:
            pid = story.shell_pid(terminal)
            session = story.only_session(self.platform)["id"]
            self.platform.redis.flush()
            self.assertEqual(self.api.get(f"/v1/sessions/{session}")["id"], session)
            self.platform.redis.kill9()
            self.still_the_same(terminal, pid)
            self.assertEqual(self.api.get(f"/v1/sessions/{session}")["id"], session)
            self.platform.redis.start()
            wait_until(lambda: self.api.raw("GET", "/readyz")[0] == 200, "ready again")
            with story.attach(self.platform, session) as again:
                story.attached_to(again, pid)
        node = wait_until(lambda: self.platform.node.online(), "presence rebuilt from heartbeats")
        self.assertEqual(node["presence"], "online")

    def test_control_plane_killed_and_back(self):
        with story.open_session(self.platform) as terminal:
            pid = story.shell_pid(terminal)
            session = story.only_session(self.platform)["id"]
            self.platform.control.kill9()
            self.still_the_same(terminal, pid)
            self.platform.start_control()
            self.still_the_same(terminal, pid)
            self.assertEqual(self.api.get(f"/v1/sessions/{session}")["state"], "active")

    def test_sshd_killed_and_back(self):
        terminal = story.open_session(self.platform)
        session = story.only_session(self.platform)["id"]
        self.platform.sshd.kill9()
        terminal.wait()
        terminal.close()
        wait_until(lambda: story.state_of(self.platform, session) in ("closed", "failed"), "the end")
        seen = self.api.get(f"/v1/sessions/{session}")
        self.assertTrue(seen.get("detail"), "the session says why it ended")
        # While the target is away: an error in words, no session left half open.
        with story.Terminal([self.platform.bin / "rapctl", "session", "open", "--resource", "demo-ssh"],
                            self.platform.env()) as refused:
            self.assertNotEqual(refused.wait(), 0)
            address = rf"127\.0\.0\.1:{self.platform.sshd.port}: .*refused"
            self.assertRegex(refused.output(), rf"the target cannot be reached \({address}")
        wait_until(lambda: not story.sessions(self.platform, "opening", "active", "detached"), "no session left")
        self.platform.sshd.start()
        with story.open_session(self.platform) as again:
            story.shell_pid(again)

    def test_agent_stopped_for_a_restart(self):
        """SIGTERM, as an upgrade does it: the same as kill -9 for the session."""
        with story.open_session(self.platform) as terminal:
            pid = story.shell_pid(terminal)
            self.platform.node.process.stop()
            self.still_the_same(terminal, pid)
            self.platform.node.start()
            self.platform.node.wait_online()
            self.still_the_same(terminal, pid)
            session = story.only_session(self.platform)["id"]
            with story.attach(self.platform, session) as again:
                story.attached_to(again, pid)

    def test_stop_without_an_agent_names_what_still_runs(self):
        """The agent is killed, its listener and workers are not: `stop --all` says so, with pids, and ends nothing."""
        node = self.platform.node
        node.process.kill9()
        try:
            done = subprocess.run(node.agent("stop", "--all", "--config", node.config), capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            records = [json.loads(p.read_text()) for p in (node.run_dir / "instances").glob("*.json")]
            alive = [r for r in records if r["pid"] and start_time(r["pid"]) == r["start_time"]]
            self.assertLessEqual({"listener", "zygote"}, {r["kind"] for r in alive}, records)
            for record in alive:
                self.assertIn(f"{record['kind']} {record['name']}, pid {record['pid']}", done.stderr)
            self.assertRegex(done.stderr, "start the agent .*stop --all again")
        finally:
            node.start()
            node.wait_online()

    def test_worker_killed(self):
        """The session is lost and says so; the node, its zygote and the next session are not."""
        terminal = story.open_session(self.platform)
        session = story.only_session(self.platform)["id"]
        worker = self.session_worker()
        os.kill(worker, 9)
        self.assertEqual(terminal.wait(), 253)  # asked, not guessed: it does not go on
        terminal.expect(f"session {session} failed: ")
        terminal.close()
        wait_until(lambda: story.state_of(self.platform, session) == "failed", "state failed")
        with story.open_session(self.platform) as again:
            story.shell_pid(again)

    def session_worker(self):
        """The newest rap-worker process below the agent's workers: the one forked for the session."""
        found = []
        for pid in descendants_of(os.getpid()):
            try:
                if pathlib.Path(f"/proc/{pid}/comm").read_text().startswith("rap-"):
                    exe = os.path.realpath(f"/proc/{pid}/exe")
                    if exe.endswith("rap-worker"):
                        found.append((start_time(pid), pid))
            except OSError:
                continue
        self.assertTrue(found, "no worker process")
        return max(found)[1]


if __name__ == "__main__":
    unittest.main()
