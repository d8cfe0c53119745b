"""Rows of `./dev bench mesh` about resumable streams: what they cost over the bare stream below, and how long a death takes.

tests/bench/resume_bench.cpp says how: both ends in one process and thread, loopback, rounds in turns. The failover of a whole
way is tests/bench/mesh_failover_bench.cpp: entry, relays and service are processes, and the relay in use is killed.
"""

from devtools.bench_aim import aim

BELOW = {"tcp": "TCP", "tls": "TLS over TCP"}


def rows(seen):
    """(what, ours, peer, ratio, aim) for each line that resume_bench printed."""
    for row in seen:
        yield from {"bulk": bulk, "echo": echo, "reconnect": reconnect, "failover": failover}[row["what"]](row)


def bulk(row):
    below = BELOW[row["below"]]
    yield (f"resumable stream, bulk: CPU per byte, over {below}", f"{row['ours_ns_byte']:.3f} ns",
           f"bare {row['bare_ns_byte']:.3f} ns", f"{row['ours_ns_byte'] / row['bare_ns_byte']:.2f}", "-")
    yield ("  throughput", f"{row['ours_mb_s']} MB/s", f"bare {row['bare_mb_s']} MB/s",
           f"{row['ours_mb_s'] / row['bare_mb_s']:.2f}", "-")


def echo(row):
    yield (f"resumable stream, echo of one byte over {BELOW[row['below']]}, p50 / p99",
           f"{row['ours_p50_us']:.0f} / {row['ours_p99_us']:.0f} us",
           f"bare {row['bare_p50_us']:.0f} / {row['bare_p99_us']:.0f} us",
           f"+{row['ours_p50_us'] - row['bare_p50_us']:.1f} us", "-")


def reconnect(row):
    yield (f"resumable stream: {row['kills']} transports die, next byte there and back, {BELOW[row['below']]}, p50 / p99",
           f"{row['p50_ms']:.1f} / {row['p99_ms']:.1f} ms", "-", "-",
           aim("<= 500 ms", row["p99_ms"] <= 500))


def failover(row):
    yield (f"failover: kill -9 the relay in use, {row['kills']} kills, pause p50 / p99 / max",
           f"{row['p50_ms']:.0f} / {row['p99_ms']:.0f} / {row['max_ms']:.0f} ms", "-", "-",
           aim("<= 500 ms p99", row["p99_ms"] <= 500))
    bent = ", DAMAGED" if row["bent"] else ""
    yield (f"  of {row['bytes']} bytes lost, doubled", f"{row['lost']}, {row['doubled']}{bent}", "-", "-",
           aim("0, 0", not row["lost"] and not row["doubled"] and not row["bent"]))
