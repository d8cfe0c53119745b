"""Rows of `./dev bench mesh` about the channel, out of what devtools/bench_channel.py measured. Each says its aim and whether
it was met; a peer that is not on this machine is named as absent."""

from devtools import bench_peers

KINDS = {"connections": "idle peer connection", "streams": "idle stream"}


def rows(program, seen):
    """(what, ours, peer, ratio, aim) for each figure."""
    by_bench = {}
    for row in seen:
        by_bench.setdefault(row["bench"], []).append(row)
    for bench, make in (("end", end_node), ("relay", relay), ("latency", latency), ("keys", keys), ("memory", memory)):
        if bench in by_bench:
            yield from make(program, by_bench[bench])


def aim(text, met):
    """`met` None: there was nobody to compare with."""
    return f"{text}: {'not known' if met is None else 'met' if met else 'NOT met'}"


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
                    met = None if met and len(there) < len(others) else met
                theirs = [f"loop, 1 stream {limit[key]:.3g}"] + [f"{n} {at[n][key]:.3g}" for n in there] + absent(others)
                yield (f"end node, {what}, {streams} streams", f"{ours[key]:.3g} {unit}", ", ".join(theirs),
                       f"{ratio:.2f}", aim(text, met))


def compare(program, at, key, shown, best_of):
    """(ours, what to say of the peers, the best of their figures or None)."""
    peers = bench_peers.relays(program)[1:]
    there = {peer.name: at[peer.name][key] for peer in peers if peer.name in at}
    theirs = [f"{name} {shown(at[name])}" for name in there] + absent(peers)
    return at["ours"][key], ", ".join(theirs), best_of(there.values()) if there else None


def relay(program, seen):
    for streams in (1, 100):
        at = named(seen, streams=streams)
        ours, theirs, best = compare(program, at, "ns_byte", lambda row: f"{1e3 / row['ns_byte']:.0f}", min)
        ratio = best / ours if best else None
        yield (f"relay, {streams} streams: throughput per core", f"{1e3 / ours:.0f} MB/s ({at['ours']['mb_s']:.0f} carried)",
               theirs, f"{ratio:.2f}" if best else "-", aim(">= 1.15 x the best", ratio >= 1.15 if best else None))


def latency(program, seen):
    for loaded in (False, True):
        at = named(seen, loaded=loaded)
        for quantile in ("p50", "p99"):
            key = f"{quantile}_us"

            def shown(row):
                return f"{row[key]:.0f}" + (f" ({row['mb_s']:.0f} MB/s)" if loaded else "")
            ours, theirs, best = compare(program, at, key, shown, min)
            when = "at 80 % of the fastest it went here" if loaded else "idle"
            yield (f"relay: latency it adds there and back, {when}, {quantile}", f"{shown(at['ours'])} us", theirs,
                   f"{ours - best:+.0f} us" if best is not None else "-",
                   aim("<= the best", ours <= best if best is not None else None))


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
               aim("<= nghttpx", ours["kb"] <= peer["kb"] if peer else None))
