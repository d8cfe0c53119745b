"""Rows of `./dev bench mesh` about the channel, out of what devtools/bench_channel.py measured. Each says its aim and whether
it was met; a peer that is not on this machine is named as absent."""

from devtools import bench_peers
from devtools.bench_aim import aim

KINDS = {"connections": "idle peer connection", "streams": "idle stream"}


def rows(program, seen):
    """(what, ours, peer, ratio, aim) for each figure."""
    by_bench = {}
    for row in seen:
        by_bench.setdefault(row["bench"], []).append(row)
    for bench, make in (("end", end_node), ("relay", relay), ("latency", latency), ("keys", keys), ("memory", memory)):
        if bench in by_bench:
            yield from make(program, by_bench[bench])


def counted(streams):
    return "1 stream" if streams == 1 else f"{streams} streams"


def absent(peers):
    return [f"{peer.name} absent ({peer.absent()})" for peer in peers if peer.absent()]


def named(rows, **wanted):
    return {row["name"]: row for row in rows if all(row[key] == value for key, value in wanted.items())}


def end_node(program, seen):
    _, _, others = bench_peers.ends(program)
    for direction, what in (("up", "TLS in, plain out"), ("down", "plain in, TLS out")):
        limit = named(seen, dir=direction, streams=1)["loop"]
        for streams in (1, 100):
            at = named(seen, dir=direction, streams=streams)
            ours, there = at.pop("ours"), [peer.name for peer in others if peer.name in at]
            for key, unit, good, better, text in (
                    ("ns_byte", "ns/byte", lambda r: r <= 1.05, lambda a, b: a <= b, "<= 1.05 x the loop"),
                    ("mb_s", "MB/s", lambda r: r >= 0.95, lambda a, b: a >= b, ">= 0.95 x the loop")):
                ratio = ours[key] / limit[key]
                met = good(ratio)
                if streams == 100:
                    text += ", ahead of both"
                    met = met and all(better(ours[key], at[name][key]) for name in there)
                theirs = [f"loop with 1 stream {limit[key]:.3g}", *(f"{n} {at[n][key]:.3g}" for n in there), *absent(others)]
                yield (f"end node, {what}, {counted(streams)}", f"{ours[key]:.3g} {unit}", ", ".join(theirs),
                       f"{ratio:.2f}", aim(text, met, absent(others) if streams == 100 else ()))


def compare(program, at, key, shown):
    """(ours, what to say of the peers, the lowest of their figures or None, those that are missing)."""
    peers = bench_peers.relays(program)[1:]
    there = {peer.name: at[peer.name][key] for peer in peers if peer.name in at}
    theirs = [f"{name} {shown(at[name])}" for name in there] + absent(peers)
    return at["ours"][key], ", ".join(theirs), min(there.values(), default=None), absent(peers)


def relay(program, seen):
    for streams in (1, 100):
        at = named(seen, streams=streams)
        ours, theirs, best, missing = compare(program, at, "ns_byte", lambda row: f"{1e3 / row['ns_byte']:.0f}")
        ratio = best / ours if best else None
        yield (f"relay, {counted(streams)}: throughput per core",
               f"{1e3 / ours:.0f} MB/s ({at['ours']['mb_s']:.0f} carried)", theirs, f"{ratio:.2f}" if best else "-",
               aim(">= 1.15 x the best", ratio is None or ratio >= 1.15, missing))


def latency(program, seen):
    for loaded in (False, True):
        at = named(seen, loaded=loaded)
        for quantile in ("p50", "p99"):
            key = f"{quantile}_us"

            def shown(row):
                return f"{row[key]:.0f} us" + (f" ({row['mb_s']:.0f} MB/s)" if loaded else "")
            ours, theirs, best, missing = compare(program, at, key, shown)
            when = "at 80 % of the fastest it went here" if loaded else "idle"
            yield (f"relay: latency it adds there and back, {when}, {quantile}", shown(at["ours"]), theirs,
                   "-" if best is None else f"{ours - best:+.0f} us",
                   aim("<= the best", best is None or ours <= best, missing))


def keys(_program, seen):
    for row in seen:
        ratio = row["with_p99_us"] / row["without_p99_us"]
        yield ("keystroke there and back beside a bulk stream that fills the channel, p50 / p99",
               f"{row['with_p50_us']:.0f} / {row['with_p99_us']:.0f} us",
               f"without it {row['without_p50_us']:.0f} / {row['without_p99_us']:.0f} us", f"{ratio:.2f}",
               aim("p99 <= 2 x", ratio <= 2))


def memory(program, seen):
    peers = [peer for peer in bench_peers.relays(program) if peer.name == "nghttpx"]
    for kind, what in KINDS.items():
        at = named(seen, kind=kind)
        ours, peer = at["ours"], at.get("nghttpx")
        theirs = f"nghttpx {peer['kb']:.1f} kB" if peer else ", ".join(absent(peers))
        yield (f"relay: memory of an {what}, of {ours['count']}", f"{ours['kb']:.1f} kB", theirs,
               f"{ours['kb'] / peer['kb']:.2f}" if peer else "-",
               aim("<= nghttpx", not peer or ours["kb"] <= peer["kb"], absent(peers)))
