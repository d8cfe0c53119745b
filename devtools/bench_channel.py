"""Measures the channel beside nginx, HAProxy and nghttpx; `python3 -m devtools.bench_channel PROGRAM PART..` prints JSON
objects, which devtools/bench_channel_rows.py reads. PART: end relay latency keys memory.

What is measured has one core, everything else of the run another one. A round takes every candidate in turn; figures are
medians of rounds. CPU is the scheduler's account of the measured process. Run it in a network namespace of its own (`seen()`
does where that is permitted): there TCP uses Reno. The host may use BBR, whose pacing costs more than all that is measured.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from devtools import bench_peers, process

PARTS = ("end", "relay", "latency", "keys", "memory")
ROUNDS, WINDOW_MS = 3, 500
ECHO_MS, KEYS_MS = 800, 1500
LOAD = 0.8
HELD, WARM = {"connections": 200, "streams": 400}, 20
CORES = sorted(os.sched_getaffinity(0))
MEASURED, OTHERS = {CORES[0]}, {CORES[-1]}
START_S, RUN_S, STOP_S = 15, 60, 5
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def child_of_ours(core):
    def prepare():
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        os.sched_setaffinity(0, core)
    return prepare


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def listening(port):
    """Looks without connecting: the raw loop takes one connection only."""
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(f":{port:04X}") and fields[3] == "0A":
            return True
    return False


def worker_of(pid):
    """The worker below a master, or the process itself."""
    time.sleep(0.1)
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[-1]) if children else pid


def pss_kb(pid):
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise RuntimeError("no Pss")


def end(child):
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(STOP_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    for stream in (child.stdin, child.stdout):
        if stream:
            stream.close()


class Runner:
    def __init__(self, program, folder):
        self.program, self.folder = str(program), pathlib.Path(folder)
        self.log = self.folder / "log"
        subprocess.run([self.program, "files", folder, str(HELD["connections"] + WARM)], check=True)

    def said(self):
        return self.log.read_text(errors="replace").strip()[-300:]

    @contextlib.contextmanager
    def started(self, argv, port):
        """On the measured core, listening on `port`; gives the pid that does the work."""
        with open(self.log, "ab") as log:
            child = subprocess.Popen([str(a) for a in argv], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                     preexec_fn=child_of_ours(MEASURED))
        try:
            deadline = time.monotonic() + START_S
            while not listening(port):
                if child.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{argv[0]} does not listen: {self.said()}")
                time.sleep(0.02)
            yield worker_of(child.pid)
        finally:
            end(child)

    def argv(self, what, values):
        return [self.program, what, str(self.folder)] + [f"{k}={v}" for k, v in values.items()]

    def load(self, what, **values):
        done = subprocess.run(self.argv(what, values), capture_output=True, text=True, timeout=RUN_S,
                              stdin=subprocess.DEVNULL, preexec_fn=child_of_ours(OTHERS))
        if done.returncode != 0 or not done.stdout.strip():
            raise RuntimeError(f"{what} {values}: {done.stderr.strip()[-300:]} {self.said()}")
        return json.loads(done.stdout.strip().splitlines()[-1])

    @contextlib.contextmanager
    def beside(self, what, core, **values):
        """One that goes on until the end of the block; ready when this gives it."""
        with open(self.log, "ab") as log:
            child = subprocess.Popen(self.argv(what, values), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                                     preexec_fn=child_of_ours(core))
        try:
            if not child.stdout.readline():
                raise RuntimeError(f"{what} {values}: {self.said()}")
            yield child
        finally:
            end(child)

    def bulk(self, peer, streams, direction="up"):
        port, target = free_port(), free_port()
        with self.started(peer.argv(self.folder, port, target), port) as pid:
            return self.load("bulk", near=peer.near, far=peer.far, port=port, target=target, dir=direction,
                             streams=streams, pid=pid, ms=WINDOW_MS)


def here(peers):
    return [peer for peer in peers if not peer.absent()]


def median_of(rows, key):
    return statistics.median(row[key] for row in rows)


def end_node(run):
    ours, loop, others = bench_peers.ends(run.program)
    seen = {}
    for _ in range(ROUNDS):
        for direction in ("up", "down"):
            for streams in (1, 100):
                # The loop has one connection; 100 streams are held against the same limit.
                for peer in [ours, loop[direction], *here(others)]:
                    if peer is loop[direction] and streams > 1:
                        continue
                    row = run.bulk(peer, streams, direction)
                    seen.setdefault((direction, streams, peer.name), []).append(row)
    for (direction, streams, name), rows in seen.items():
        yield {"bench": "end", "dir": direction, "streams": streams, "name": name,
               "ns_byte": median_of(rows, "ns_byte"), "mb_s": median_of(rows, "mb_s")}


def relay(run):
    seen = {}
    for _ in range(ROUNDS):
        for streams in (1, 100):
            for peer in here(bench_peers.relays(run.program)):
                seen.setdefault((streams, peer.name), []).append(run.bulk(peer, streams))
    for (streams, name), rows in seen.items():
        yield {"bench": "relay", "streams": streams, "name": name, "ns_byte": median_of(rows, "ns_byte"),
               "mb_s": median_of(rows, "mb_s")}


def latency(run):
    """Echoes through a candidate and past it in turns, in the same moments: the difference is what it adds."""
    peers = here(bench_peers.relays(run.program))
    fastest = {peer.name: [] for peer in peers}
    for _ in range(ROUNDS):
        for peer in peers:
            fastest[peer.name].append(run.bulk(peer, 1)["mb_s"])
    rates = {name: statistics.median(seen) * LOAD for name, seen in fastest.items()}
    seen = {}
    for _ in range(ROUNDS):
        for loaded in (False, True):
            for peer in peers:
                port, target = free_port(), free_port()
                ends = {"near": peer.near, "port": port, "target": target}
                with run.started(peer.argv(run.folder, port, target), port), \
                        run.beside("carry", OTHERS, far=peer.far, streams=int(loaded),
                                   kbytes_s=int(rates[peer.name] * 1000), **ends):
                    row = run.load("echo", far="none", ms=ECHO_MS, **ends)
                seen.setdefault((loaded, peer.name), []).append(
                    [a - b for a, b in zip(row["first_us"], row["second_us"])])
    for (loaded, name), rows in seen.items():
        yield {"bench": "latency", "loaded": loaded, "name": name, "mb_s": rates[name] if loaded else 0,
               "p50_us": statistics.median(r[0] for r in rows), "p99_us": statistics.median(r[1] for r in rows)}


def keys(run):
    """Two nodes; what is typed and the bulk stream have the same ones."""
    with_bulk, without = [], []
    for _ in range(ROUNDS):
        ends = {"near": "relay", "port": free_port(), "target": free_port()}
        with run.beside("carry", MEASURED, far="mesh", streams=0, **ends):
            row = run.load("keys", far="none", ms=KEYS_MS, **ends)
        with_bulk.append(row["first_us"])
        without.append(row["second_us"])
    yield {"bench": "keys", **{f"{name}_p{q}_us": statistics.median(row[at] for row in rows)
                               for name, rows in (("with", with_bulk), ("without", without))
                               for at, q in ((0, 50), (1, 99))}}


def memory(run):
    ours, *others = bench_peers.relays(run.program)
    for kind, count in HELD.items():
        for peer in [ours, *(p for p in here(others) if p.name == "nghttpx")]:
            port, target = free_port(), free_port()
            with run.started(peer.argv(run.folder, port, target), port) as pid, \
                    run.beside("hold", OTHERS, near=peer.near, far=peer.far, port=port, target=target, warm=WARM,
                               **{kind: count}) as held:
                before = pss_kb(pid)
                held.stdin.write(b"\n")
                held.stdin.flush()
                if not held.stdout.readline():
                    raise RuntimeError(f"hold {kind}, {peer.name}: {run.said()}")
                grown = pss_kb(pid) - before
            yield {"bench": "memory", "kind": kind, "name": peer.name, "count": count, "kb": grown / count}


def main(program, wanted):
    process.exit_on_signals()
    parts = {"end": end_node, "relay": relay, "latency": latency, "keys": keys, "memory": memory}
    with tempfile.TemporaryDirectory(prefix="rap-bench-") as folder:
        run = Runner(program, folder)
        for name in wanted:
            for row in parts[name](run):
                print(json.dumps(row), flush=True)


def own_network():
    """What to put in front of a command for a network of its own with Reno; nothing where that is not permitted."""
    inside = ["sh", "-c", 'ip link set lo up && echo reno > /proc/sys/net/ipv4/tcp_congestion_control && exec "$@"', "sh"]
    for way in (["unshare", "--net"], ["unshare", "--user", "--map-root-user", "--net"]):
        if subprocess.run([*way, *inside, "true"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
            return [*way, *inside]
    return []


def seen(program, wanted, timeout_s):
    """Every object that those parts print."""
    prefix = own_network()
    if not prefix:
        print("  no network namespace is permitted here: what TCP does is the host's choice", file=sys.stderr)
    root = pathlib.Path(__file__).resolve().parents[1]
    child = subprocess.Popen([*prefix, sys.executable, "-m", "devtools.bench_channel", str(program), *wanted], cwd=root,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        out, err = child.communicate(timeout=timeout_s)
    finally:
        if child.poll() is None:  # asked, not killed: it ends what it started and removes its folder
            child.terminate()
            child.wait()
    if child.returncode != 0:
        raise process.Failed(f"bench_channel: {(err.strip().splitlines() or ['?'])[-1][-400:]}")
    return [json.loads(line) for line in out.splitlines()]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
