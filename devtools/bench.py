"""`./dev bench [NAME..]`: the figures of the product beside their peers, measured in turns in one run.

Nothing is asserted: this prints what was seen on this machine now. Names: load idle cat echo reattach heartbeats zygote
memory mesh, and the parts of mesh: mesh-routing mesh-resume mesh-end mesh-relay mesh-latency mesh-keys mesh-memory.
"""

import json
import os
import pathlib
import pty
import re
import select
import subprocess
import sys
import tempfile
import time

from devtools import bench_channel, bench_channel_rows, bench_mesh, bench_resume, bench_zygote, process, story
from devtools.build import FOLDER, build
from devtools.platform import Platform
from devtools.postgres import BIN, Postgres
from devtools.process import Failed
from devtools.steps import Steps
from devtools.up import Busy, Place

NAMES = ("load", "idle", "cat", "echo", "reattach", "heartbeats", "zygote", "memory", "mesh")
MESH_PARTS = ("mesh-routing", "mesh-resume", *(f"mesh-{part}" for part in bench_channel.PARTS))
CIPHER = "aes128-gcm@openssh.com"  # what the ssh plugin asks for first
CAT_BYTES = 256 << 20
CAT_ROUNDS = 3
ECHO_KEYS = 400
ECHO_ROUNDS = 3
ECHO_PAUSE_S = 0.005  # a fast typist is 20 times slower; this keeps a run short
REATTACH_ROUNDS = 100
IDLE_WINDOW_S = 30
HEARTBEAT_S, HEARTBEAT_ROUNDS = 4, 3
BENCH_PROGRAM_S = 300


def quantile(values, q):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * q))]


def median(values):
    return quantile(values, 0.5)


class RawTerminal:
    """A program on a pseudo terminal without a reading thread, so that nothing of ours is in what is measured."""

    def __init__(self, argv, env, cols=100, rows=40):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.execve(str(argv[0]), [str(a) for a in argv], {**env, "TERM": "xterm-256color"})
            finally:
                os._exit(127)
        import fcntl, struct, termios
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def until(self, wanted, timeout_s=60):
        """Reads until `wanted` came; the number of bytes read."""
        deadline, tail, count = time.monotonic() + timeout_s, b"", 0
        while True:
            if not select.select([self.fd], [], [], max(0, deadline - time.monotonic()))[0]:
                raise Failed(f"no {wanted!r} within {timeout_s} s; last: {tail[-300:]!r}")
            try:
                data = os.read(self.fd, 1 << 18)
            except OSError:
                raise Failed(f"ended before {wanted!r}; last: {tail[-300:]!r}") from None
            count += len(data)
            tail = tail[-len(wanted) - 256:] + data
            if wanted in tail:
                return count

    def write(self, data):
        os.write(self.fd, data)

    def close(self):
        try:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        os.close(self.fd)


class Table:
    def __init__(self):
        self.rows = []

    def add(self, what, ours, peer, ratio, aim):
        self.rows.append((what, ours, peer, ratio, aim))
        print(f"  {what}: {ours} against {peer}", file=sys.stderr, flush=True)

    def show(self):
        head = ("what", "ours", "peer", "ratio", "aim")
        widths = [max(len(str(r[i])) for r in self.rows + [head]) for i in range(5)]
        for row in [head, tuple("-" * w for w in widths)] + self.rows:
            print("  ".join(str(c).ljust(w) for c, w in zip(row, widths)).rstrip())


class Bench:
    def __init__(self, platform, table):
        self.platform, self.table = platform, table

    # Two ways to the same shell on the same sshd, by the same key.

    def ssh_argv(self):
        sshd = self.platform.sshd
        return ["/usr/bin/ssh", "-tt", "-F", "none", "-c", CIPHER, "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
                "-o", "StrictHostKeyChecking=no", "-i", sshd.client_key, "-p", sshd.port,
                f"{sshd.invoker}@127.0.0.1"]

    def ssh(self, **size):
        return self.shell(RawTerminal(self.ssh_argv(), self.platform.env(), **size))

    def rapctl(self, **size):
        argv = [self.platform.bin / "rapctl", "session", "open", "--resource", "demo-ssh-key"]
        return self.shell(RawTerminal(argv, self.platform.env(), **size))

    def shell(self, terminal):
        time.sleep(1)
        terminal.write(b"PS1=; stty -echo; bind 'set enable-bracketed-paste off'; echo rea''dy\r")
        terminal.until(b"ready\r\n")
        time.sleep(0.3)
        return terminal

    def end_sessions(self):
        for session in story.sessions(self.platform, "opening", "active", "detached"):
            self.platform.api.post(f"/v1/sessions/{session['id']}/terminate")
            story.wait_state(self.platform, session["id"], "closed")

    def cat(self):
        big = self.platform.folder / "big.txt"
        line = ("The quick brown fox jumps over the lazy dog 0123456789 " * 2)[:99] + "\n"
        with open(big, "w") as f:
            for _ in range(CAT_BYTES // (len(line) * 1000)):
                f.write(line * 1000)
        size = big.stat().st_size
        rates = {"ssh": [], "rapctl": []}
        for _ in range(CAT_ROUNDS):
            for name, make in (("ssh", self.ssh), ("rapctl", self.rapctl)):
                terminal = make()
                began = time.monotonic()
                terminal.write(f"cat {big}; echo e''nd-of-file\r".encode())
                terminal.until(b"end-of-file\r\n", 600)
                rates[name].append(size / (time.monotonic() - began) / 1e6)
                terminal.close()
        self.end_sessions()
        big.unlink()
        ours, peer = median(rates["rapctl"]), median(rates["ssh"])
        self.table.add("cat of 256 MB, attached client", f"{ours:.0f} MB/s", f"ssh {peer:.0f} MB/s",
                       f"{ours / peer:.2f}", ">= 0.7")

    def echo(self):
        times = {"ssh": [], "rapctl": []}
        terminals = {"ssh": self.ssh(), "rapctl": self.rapctl()}
        for terminal in terminals.values():
            terminal.write(b"stty echo; cat > /dev/null\r")
            time.sleep(0.5)
            while select.select([terminal.fd], [], [], 0.2)[0]:
                os.read(terminal.fd, 65536)
        for _ in range(ECHO_ROUNDS):
            for name, terminal in terminals.items():
                for i in range(ECHO_KEYS):
                    key = b"abcdefghijklmnopqrstuvwxyz"[i % 26:i % 26 + 1] if i % 70 != 69 else b"\r"
                    began = time.perf_counter()
                    terminal.write(key)
                    terminal.until(b"\n" if key == b"\r" else key, 10)
                    times[name].append((time.perf_counter() - began) * 1000)
                    time.sleep(ECHO_PAUSE_S)
        for terminal in terminals.values():
            terminal.close()
        self.end_sessions()
        for label, q, aim in (("p50", 0.5, "<= +1 ms"), ("p99", 0.99, "<= +3 ms")):
            ours, peer = quantile(times["rapctl"], q), quantile(times["ssh"], q)
            self.table.add(f"keystroke echo {label}", f"{ours:.2f} ms", f"ssh {peer:.2f} ms",
                           f"{ours / peer:.2f} ({ours - peer:+.2f} ms)", aim)

    def reattach(self):
        first = self.rapctl(cols=160, rows=50)
        first.write(b"clear; for r in $(seq 49); do printf '\\033[3%dm%0.s#' $(seq 159 | sed 's/.*/3/'); echo; done; "
                    b"echo; echo -n bottom-'of'-screen; read -r _\r")
        first.until(b"bottom-of-screen")
        time.sleep(0.5)
        session = story.only_session(self.platform)["id"]
        first.close()
        story.wait_state(self.platform, session, "detached")
        ways = {"attach": [self.platform.bin / "rapctl", "session", "attach", session],
                "login": self.ssh_argv() + ["echo bottom-of-screen; exec cat"],
                "start": [self.platform.bin / "rapctl", "--help"]}
        times = {name: [] for name in ways}
        for number in range(REATTACH_ROUNDS):
            for name, argv in ways.items():
                if name != "attach" and number % 5:
                    continue
                began = time.perf_counter()
                again = RawTerminal(argv, self.platform.env(), cols=160, rows=50)
                again.until(b"Usage" if name == "start" else b"bottom-of-screen", 20)
                times[name].append((time.perf_counter() - began) * 1000)
                again.close()
        self.end_sessions()
        self.table.add("reattach to full screen, p50 / p99",
                       f"{median(times['attach']):.0f} / {quantile(times['attach'], 0.99):.0f} ms",
                       f"ssh, a new login {median(times['login']):.0f} ms; rapctl --help {median(times['start']):.0f} ms",
                       f"{median(times['attach']) / median(times['login']):.2f}", "<= 50 ms p99")

    def idle(self):
        api, platform = self.platform.api, self.platform
        for number in (2, 3):
            organization = api.post("/v1/organizations", {"name": f"Idle {number}", "slug": f"idle-{number}"})
            assignment = platform.node.assign("ssh-worker", organization["id"])
            platform.node.wait_workload(assignment, story.RUNNING)
        time.sleep(5)
        before = cpu_seconds(platform.node.pid)
        time.sleep(IDLE_WINDOW_S)
        used = cpu_seconds(platform.node.pid) - before
        rss = status_kb(platform.node.pid, "VmRSS")
        self.table.add("agent idle, three workers: memory", f"{rss / 1024:.1f} MB", "-", "-", "<= 15 MB")
        self.table.add(f"agent idle, three workers: CPU ({IDLE_WINDOW_S} s)",
                       f"{100 * used / IDLE_WINDOW_S:.3f} %", "-", "-", "<= 0.1 %")

    def load(self):
        plugin = FOLDER["release"] / "plugins" / "echo-c.so"
        for row in program("verify_load_bench", plugin, 1_000_000, 30_000_000):
            self.table.add(f"verify and load, {row['size'] // 1_000_000} MB", f"{row['ours_ms']:.2f} ms",
                           f"read+sha256+dlopen {row['peer_ms']:.2f} ms",
                           f"{row['ours_ms'] / row['peer_ms']:.2f}", "<= 1.15")

    def heartbeats(self):
        """One connection writing batches against one pgbench client writing single rows, in turns."""
        peers = (("upsert, durable", UPSERT, "", 1), ("upsert, not waiting", UPSERT, NO_WAIT, 1),
                 ("both rows, not waiting", BOTH_ROWS, NO_WAIT, 2))
        ours, theirs = [], {peer[0]: [] for peer in peers}
        with tempfile.TemporaryDirectory(prefix="rap-bench-") as folder:
            postgres = Postgres(pathlib.Path(folder) / "pg").start()
            try:
                for number in range(HEARTBEAT_ROUNDS):
                    name = f"bench{number}"
                    url = postgres.create_database(name)
                    ours.append(program("heartbeats_bench", url, HEARTBEAT_S)[0]["heartbeats_per_s"])
                    for label, text, options, _ in peers:
                        script = pathlib.Path(folder) / "peer.sql"
                        script.write_text(text)
                        theirs[label].append(pgbench(postgres, name, script, options))
            finally:
                postgres.stop()
        # A heartbeat is two rows: one in the log, and the newest state.
        rate = median(ours)
        for label, _, _, rows in peers:
            peer = median(theirs[label])
            self.table.add("heartbeats, batched, not waiting", f"{2 * rate:.0f} rows/s ({rate:.0f} heartbeats)",
                           f"pgbench {label}: {rows * peer:.0f} rows/s",
                           f"{2 * rate / (rows * peer):.1f} (heartbeats {rate / peer:.1f})", ">= 6 x rows/s")

    def zygote(self):
        seen = bench_zygote.measure(FOLDER["release"] / "bin", FOLDER["release"] / "plugins" / "ssh.so",
                                    story.PRODUCT)
        ours, peer = median(seen["fork_ms"]), median(seen["exec_ms"])
        self.table.add("session worker ready", f"{ours:.2f} ms fork", f"exec and load {peer:.1f} ms",
                       f"{ours / peer:.3f}", "<= 0.1")

    def mesh_routing(self):
        for row in bench_mesh.rows(program("mesh_bench")):
            self.table.add(*row)

    def mesh_resume(self):
        for row in bench_resume.rows(program("resume_bench") + program("mesh_failover_bench")):
            self.table.add(*row)

    def mesh_channel(self, part):
        channel = FOLDER["release"] / "bench" / "channel_bench"
        for row in bench_channel_rows.rows(channel, bench_channel.seen(channel, [part], BENCH_PROGRAM_S)):
            self.table.add(*row)

    def memory(self):
        """Private memory of the worker of one open session, and of a forked process that holds the same session with
        libssh alone; by the kernel's account."""
        sshd = self.platform.sshd
        library = program("ssh_memory_bench", sshd.port, sshd.invoker, sshd.client_key)[0]["private_kb"]
        before = set(workers(self.platform))
        terminal = self.rapctl()
        new = [pid for pid in workers(self.platform) if pid not in before]
        private = max((rollup_kb(pid, "Private_Dirty") for pid in new), default=0)
        terminal.close()
        self.end_sessions()
        self.table.add("private memory of an open ssh session", f"{private / 1024:.2f} MB",
                       f"libssh alone {library / 1024:.2f} MB", f"{(private - library) / 1024:+.2f} MB", "<= +1 MB")


# What pgbench runs. Every value is a parameter of the prepared statement, as any program has to send them; literals would
# be parsed once for all rows.
HEARTBEAT = {
    "cluster": "cls_bench", "boot": "6b1f0c2e-0000-4000-8000-000000000001", "version": "0.1.0",
    "endpoint": "10.0.0.1:7444", "director": "0", "at": "2026-01-31T12:00:00.123456Z",
    "payload": '{"load":{"cpu":0.25,"memory_used_kb":812345,"memory_total_kb":16384000},"sandbox_layers":[]}',
}
NODE = r"\set node random(0, 9999)" + "\n"
LOG_ROW = """insert into node_heartbeats (received_at, node_id, cluster_id, boot_id, sent_at, payload)
values (:at::timestamptz, 'nod_' || lpad(:node::text, 26, '0'), :cluster, :boot, :at::timestamptz, :payload::jsonb);
"""
LATEST_ROW = """insert into node_heartbeat_latest (node_id, cluster_id, boot_id, sent_at, received_at, agent_version,
  mesh_endpoint, director_version, payload)
values ('nod_' || lpad(:node::text, 26, '0'), :cluster, :boot, :at::timestamptz, :at::timestamptz, :version, :endpoint,
  :director::bigint, :payload::jsonb)
on conflict (node_id) do update set boot_id = excluded.boot_id, sent_at = excluded.sent_at,
  received_at = excluded.received_at, agent_version = excluded.agent_version, mesh_endpoint = excluded.mesh_endpoint,
  director_version = excluded.director_version, payload = excluded.payload;
"""
UPSERT = NODE + LATEST_ROW
BOTH_ROWS = NODE + "begin;\n" + LOG_ROW + LATEST_ROW + "commit;\n"
NO_WAIT = "-c synchronous_commit=off"


def pgbench(postgres, database, script, options):
    """Transactions per second of one client."""
    values = [word for name, value in HEARTBEAT.items() for word in ("-D", f"{name}={value}")]
    done = subprocess.run([BIN / "pgbench", "-n", "-M", "prepared", "-c", "1", "-T", str(HEARTBEAT_S), "-f", script,
                           *values, database], capture_output=True, text=True,
                          env={**postgres.env(), "PGOPTIONS": options})
    found = re.search(r"tps = ([\d.]+)", done.stdout)
    if not found:
        raise Failed(f"pgbench: {done.stderr.strip()}")
    return float(found.group(1))


def program(name, *arguments):
    done = subprocess.run([FOLDER["release"] / "bench" / name, *map(str, arguments)], capture_output=True,
                          text=True, timeout=BENCH_PROGRAM_S)
    if done.returncode != 0:
        raise Failed(f"{name}: {done.stderr.strip()[-500:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def status_kb(pid, key):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    return 0


def workers(platform):
    """Processes of rap-worker below us: zygotes and sessions."""
    found = []
    for pid in process.descendants_of(os.getpid()):
        try:
            if os.readlink(f"/proc/{pid}/exe") == str(platform.bin / "rap-worker"):
                found.append(pid)
        except OSError:
            continue
    return found


def rollup_kb(pid, key):
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    return 0


NEEDS_PLATFORM = ("idle", "cat", "echo", "reattach", "memory")


def main(arguments):
    known = (*NAMES, *MESH_PARTS)
    unknown = [a for a in arguments if a not in known]
    if unknown:
        print(f"dev bench: unknown {unknown[0]}; there are {' '.join(known)}", file=sys.stderr)
        return 2
    wanted = [part for a in arguments or NAMES for part in (MESH_PARTS if a == "mesh" else (a,))]
    process.exit_on_signals()
    process.become_subreaper()
    if not build() or not build(targets=["rap_bench"]):
        return 1
    table, steps = Table(), Steps(sys.stderr)
    platform = place = None
    failed = False
    try:
        if set(wanted) & set(NEEDS_PLATFORM):
            place = Place("bench")
            place.take()
            platform = Platform(place.folder)
            platform.start(steps)
            story.owner_path(steps, platform)
        bench = Bench(platform, table)
        for name in wanted:
            try:
                part = name.removeprefix("mesh-")
                if name in MESH_PARTS and part in bench_channel.PARTS:
                    bench.mesh_channel(part)
                else:
                    getattr(bench, name.replace("-", "_"))()
            except (Failed, OSError, subprocess.SubprocessError) as e:
                failed = True
                table.add(name, "failed", str(e).splitlines()[0][:60], "-", "-")
    except (Failed, Busy) as e:
        print(f"dev bench: {e}", file=sys.stderr)
        failed = True
    finally:
        if platform:
            platform.stop()
        if place:
            place.release()
    load = os.getloadavg()[0]
    if table.rows:
        print(f"\n{os.cpu_count()} cores, load average {load:.1f} (read ratios, not absolute values)\n")
        table.show()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
