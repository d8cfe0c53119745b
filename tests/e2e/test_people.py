"""People who may not be there any more, and what is told of those who are."""

import pathlib
import subprocess
import tempfile

from devtools import story
from devtools.process import wait_until
from devtools.terminal import Terminal
from tests.e2e.shared import EndToEnd

PASSWORD = "a guest's own password"


class PeopleLeave(EndToEnd):
    def guest(self, login):
        """(id, membership's id, environment of their shell)"""
        user = self.api.post("/v1/users", {"login": login, "display_name": "Gerda Guest", "password": PASSWORD})["id"]
        member = self.api.post(f"/v1/organizations/{self.platform.organization_id}/memberships",
                               {"user_id": user, "role": "member"})["id"]
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.platform.folder))
        (folder / "pw").write_text(PASSWORD)
        env = {**self.platform.env(), "RAP_CONFIG_DIR": str(folder)}
        subprocess.run([self.platform.bin / "rapctl", "login", "--server", self.platform.url, "--ca-file",
                        self.platform.ca_file, "--login", login, "--password-file", folder / "pw"], env=env, check=True,
                       capture_output=True)
        return user, member, env

    def attach(self, env, session, *options):
        return Terminal([self.platform.bin / "rapctl", "session", "attach", session, *options], env, cols=120)

    def test_a_removed_member_is_dropped_from_the_session_of_a_colleague(self):
        user, member, env = self.guest("gerda")
        with story.open_session(self.platform) as mine:
            session = story.only_session(self.platform)["id"]
            pid = story.shell_pid(mine)
            mine.mark()
            with self.attach(env, session, "--view") as watching, self.attach(env, session) as taken:
                mine.expect(r"taken over by Gerda Guest at 127\.0\.0\.1")
                taken.line("echo by-gerda=$((40+2))")
                watching.expect(r"by-gerda=42")
                self.api.delete(f"/v1/memberships/{member}")
                for terminal in (watching, taken):
                    terminal.expect(r"may not use the sessions of this organization any more")
                    self.assertEqual(terminal.wait(), 4)
            story.wait_state(self.platform, session, "detached")
        with story.attach(self.platform, session) as mine:
            story.attached_to(mine, pid)  # the same shell
            wait_until(lambda: "person detached" in self.platform.node.log.read_text(), "the agent's word for it")
        kinds = [(e["kind"], e["seq"]) for e in self.api.items(f"/v1/clusters/{self.platform.cluster_id}/audit-events")
                 if e["subject"] == session]
        first = lambda kind: next(seq for k, seq in kinds if k == f"session.{kind}")
        self.assertLess(first("requested"), first("opened"))
        self.assertLess(first("opened"), first("attached"))
        self.assertLess(first("attached"), first("taken_over"))
        self.assertIn("session.view_left", dict(kinds))
        table = self.platform.rapctl("audit", "list", "--cluster", self.platform.cluster_id)
        self.assertIn(f"session.taken_over\tGerda Guest via node {self.platform.node.name}\t{session}\t", table)
