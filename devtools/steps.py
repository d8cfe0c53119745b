"""Named, timed, verified steps, shown as they happen and kept as data."""

import contextlib
import json
import sys
import threading
import time

SLOW_S = 1.0  # a step that takes longer says that it is still at work


class Steps:
    """Shows steps on `out`; colours and a live clock only when that is a terminal."""

    def __init__(self, out=None):
        self.out = out or sys.stderr
        self.tty = self.out.isatty()
        self.done = []
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def _paint(self, code, text):
        return f"\x1b[{code}m{text}\x1b[0m" if self.tty else text

    def _write(self, text):
        with self._lock:
            self.out.write(text)
            self.out.flush()

    def heading(self, text):
        self._write(self._paint("1", text) + "\n")

    def say(self, text=""):
        self._write(text + "\n")

    @contextlib.contextmanager
    def step(self, name, live=True):
        """`live` shows a clock while it runs; not for a body that prints by itself.

        The body verifies something real and may set `step.detail`; an exception makes the step the failed one."""
        step = Step(name)
        stop = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(name, stop), daemon=True)
        if live:
            ticker.start()
        began = time.monotonic()
        stopped = False
        try:
            yield step
            step.ok = True
        except BaseException as e:
            # Of the exit that a signal asks for, the text is only the status; and nothing failed.
            stopped = isinstance(e, (SystemExit, KeyboardInterrupt))
            step.detail = "interrupted" if stopped else str(e).strip() or type(e).__name__
            raise
        finally:
            step.ms = round((time.monotonic() - began) * 1000)
            stop.set()
            if live:
                ticker.join()
            self.done.append(step)
            mark = self._paint("32", "ok  ") if step.ok else self._paint("33", "stop") if stopped \
                else self._paint("31", "FAIL")
            clear = "\r\x1b[K" if self.tty else ""
            detail = step.detail.splitlines()[0] if step.detail else ""
            self._write(f"{clear}  {mark} {step.ms:7d} ms  {name}{': ' + detail if detail else ''}\n")

    def _tick(self, name, stop):
        if stop.wait(SLOW_S):
            return
        began = time.monotonic() - SLOW_S
        if not self.tty:
            self._write(f"  ...              {name}\n")
            return
        while True:
            self._write(f"\r\x1b[K  ...  {time.monotonic() - began:5.0f} s   {name}")
            if stop.wait(1):
                return

    def failed(self):
        return next((s for s in self.done if not s.ok), None)

    def report(self, ok):
        """The closing JSON object of `up --check`."""
        failed = self.failed()
        value = {"ok": ok, "ms": round((time.monotonic() - self._began) * 1000),
                 "steps": [{"name": s.name, "ok": s.ok, "ms": s.ms, "detail": s.detail} for s in self.done]}
        if failed:
            value["failed"] = failed.name
        return json.dumps(value, ensure_ascii=False)


class Step:
    def __init__(self, name):
        self.name, self.ok, self.ms, self.detail = name, False, 0, ""
