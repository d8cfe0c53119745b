"""Real terminals: tmux on a socket of its own, one pane per terminal."""

import pathlib
import re
import subprocess
import tempfile
import time

from devtools.process import PATIENCE_S


class Tmux:
    def __init__(self, env):
        self._folder = tempfile.TemporaryDirectory(prefix="rap-tmux-")
        self._socket = pathlib.Path(self._folder.name) / "s"
        self._env = {**env, "TERM": "xterm-256color", "LANG": "C.UTF-8", "HISTFILE": "/dev/null"}

    def run(self, *arguments):
        done = subprocess.run(["tmux", "-u", "-S", str(self._socket), "-f", "/dev/null", *arguments],
                              capture_output=True, text=True, env=self._env)
        if done.returncode != 0:
            raise AssertionError(f"tmux {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def terminal(self, name, cols=80, rows=24):
        self.run("new-session", "-d", "-s", name, "-x", str(cols), "-y", str(rows),
                 "env PS1='local$ ' bash --norc --noprofile")
        pane = Pane(self, name)
        pane.wait_for(r"local\$")
        return pane

    def close(self):
        try:
            self.run("kill-server")
        except AssertionError:
            pass
        self._folder.cleanup()


class Pane:
    """One terminal. What a test matches is what a person would see on the screen now."""

    def __init__(self, tmux, name):
        self._tmux, self.name = tmux, name

    def screen(self):
        return self._tmux.run("capture-pane", "-p", "-t", self.name)

    def type(self, text):
        self._tmux.run("send-keys", "-t", self.name, "-l", "--", text)

    def line(self, text):
        self.type(text)
        self.key("Enter")

    def key(self, *names):
        self._tmux.run("send-keys", "-t", self.name, *names)

    def resize(self, cols, rows):
        self._tmux.run("resize-window", "-t", self.name, "-x", str(cols), "-y", str(rows))

    def clear(self):
        self.line("clear")
        time.sleep(0.3)

    def shell_pid(self):
        return int(self._tmux.run("display-message", "-p", "-t", self.name, "#{pane_pid}"))

    def wait_for(self, pattern):
        deadline = time.monotonic() + PATIENCE_S
        while True:
            screen = self.screen()
            found = re.search(pattern, screen, re.M)
            if found:
                return found
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.name}: no {pattern!r} within {PATIENCE_S:g} s; the screen:\n{screen}")
            time.sleep(0.05)

    def wait_gone(self, pattern):
        deadline = time.monotonic() + PATIENCE_S
        while re.search(pattern, self.screen(), re.M):
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.name}: {pattern!r} is still there:\n{self.screen()}")
            time.sleep(0.05)
