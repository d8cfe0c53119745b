"""The terminal story in two real terminals, as a person does it, with kill -9 of the agent in the middle."""

import os
import re
import time

from devtools import story
from devtools.process import children_of, start_time, wait_until
from tests.e2e.shared import EndToEnd
from tests.e2e.tmux import Tmux


class TerminalStory(EndToEnd):
    def setUp(self):
        self.tmux = Tmux(self.platform.env())
        self.addCleanup(self.tmux.close)

    def remote_pid(self, pane):
        pane.line("echo pid=$$")
        pane.wait_for(r"^pid=\d+$")
        return int(re.findall(r"^pid=(\d+)$", pane.screen(), re.M)[-1])

    def wait_size(self, pane, size):
        pane.line(f"clear; until [ \"$(stty size)\" = '{size}' ]; do sleep 0.1; done; echo the size is $(stty size)")
        pane.wait_for(f"^the size is {size}$")

    def test_two_terminals(self):
        one = self.tmux.terminal("one")
        two = self.tmux.terminal("two", cols=100, rows=30)

        # Open; it is a real terminal.
        one.line("rapctl session open --resource demo-ssh")
        one.wait_for(r"^(?!local).*[#$]\s*$")
        pid = self.remote_pid(one)
        session = story.only_session(self.platform)["id"]
        one.line("clear; stty size")
        one.wait_for(r"^24 80$")
        one.resize(90, 28)
        self.wait_size(one, "28 90")
        one.line("clear; echo 'Grüße 世界 🚀' | rev | rev")
        one.wait_for(r"^Grüße 世界 🚀$")
        one.line("sleep 300")
        time.sleep(0.5)
        one.key("C-c")
        one.line("echo status=$?")
        one.wait_for(r"^status=130$")

        # A full-screen program is on the screen of whoever comes next, at once and whole.
        one.line("clear; printf '\\033[?1049h\\033[2J\\033[10;20Hin full screen'; read -r _; printf '\\033[?1049l'")
        one.wait_for(r"^ {19}in full screen")

        # Taken over from the second terminal; the first is told by whom and has its own shell again.
        two.line(f"rapctl session attach {session}")
        two.wait_for(r"^ {19}in full screen")
        one.wait_for(rf"(?i)taken over by .*{self.platform.owner_name}")
        one.wait_for(r"local\$")
        two.key("Enter")
        self.assertEqual(self.remote_pid(two), pid)
        self.wait_size(two, "30 100")

        # kill -9 of the agent in the middle; typing goes on while it is away and after it came back.
        self.platform.node.process.kill9()
        two.line("clear; echo without-agent=$((20+3))")
        two.wait_for(r"^without-agent=23$")
        self.platform.node.start()
        self.assertEqual(self.remote_pid(two), pid)

        # Watching: sees, and cannot type.
        one.line(f"clear; rapctl session attach {session} --view")
        two.line("clear; echo for-the-viewer=$((40+2))")
        one.wait_for(r"for-the-viewer=42")
        one.line("echo typed-by-viewer")
        two.line("echo still-mine=$((1+1))")
        two.wait_for(r"^still-mine=2$")
        self.assertNotIn("typed-by-viewer", two.screen())

        # The viewer leaves while a program has its cursor at the top: nothing stays under the prompt.
        two.line("clear; seq 1 15; printf '\\033[H'; read -r _; clear")
        one.wait_for(r"^15$")
        one.key("C-c")
        one.wait_for(r"left session")
        one.wait_for(r"local\$\s*\Z")
        self.assertNotRegex(one.screen(), r"(?m)^1[0-5]$")
        one.line(f"clear; rapctl session attach {session} --view")
        two.key("Enter")
        two.line("echo still-mine=$((1+1))")
        one.wait_for(r"^still-mine=2$")

        # Walk away with ~d: detached, listed so, and the same shell afterwards.
        two.key("Enter")
        time.sleep(0.3)
        two.type("~d")
        two.wait_for(r"local\$")
        story.wait_state(self.platform, session, "detached")
        two.line("clear; rapctl session list --limit 3")
        two.wait_for(rf"{session}.*detached|detached.*{session}")
        two.line(f"clear; rapctl session attach {session}")
        two.wait_for(r"still-mine=2")
        self.assertEqual(self.remote_pid(two), pid)

        # Killing rapctl is walking away too.
        rapctl = [p for p in children_of(two.shell_pid())][0]
        os.kill(rapctl, 9)
        two.wait_for(r"Killed|local\$")
        story.wait_state(self.platform, session, "detached")
        self.assertIsNotNone(start_time(pid))

        # Ended from elsewhere; the viewer is told, the shell on the target is gone.
        two.line(f"stty sane; clear; rapctl session terminate {session}")
        story.wait_state(self.platform, session, "closed")
        one.wait_for(r"(?i)terminated|closed|ended")
        wait_until(lambda: start_time(pid) is None, "the shell on the target to end")

        text = " ".join(str(e) for e in story.audit_actions(self.platform) if session in str(e))
        for word in ("opened", "attached", "taken_over", "detached", "terminated"):
            self.assertIn(word, text)
