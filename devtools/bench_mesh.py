"""Rows of `./dev bench mesh`: routing decisions, and a simulated cluster that loses a tenth of its relays.

tests/bench/mesh_sim.hpp says what the simulation assumes. A decision waits for nothing, so it is held to its aim by CPU time: the
clock on the wall also counts whoever had the core meanwhile.
"""

from devtools.bench_aim import aim


def rows(seen):
    """(what, ours, peer, ratio, aim) for each line that mesh_bench printed."""
    for row in seen:
        yield from {"decision": decision, "connections": connections, "convergence": convergence}[row["bench"]](row)


def decision(row):
    yield (f"routing decision {row['what']}, p50 / p99, {row['nodes']} nodes, {row['links']} links",
           f"{row['p50_us']:.0f} / {row['p99_us']:.0f} us; CPU {row['cpu_p50_us']:.0f} / {row['cpu_p99_us']:.0f}", "-", "-",
           aim("<= 50 us", row["cpu_p99_us"] <= 50))
    yield ("  allocations in them", f"{row['allocations']} in {row['of']}", "-", "-", aim("0", row["allocations"] == 0))


def connections(row):
    leaves, wanted = "", aim("<= 5", row["max"] <= 5)
    if row["kind"] == "relay":
        leaves = f"; leaves {row['leaves_p50']} / {row['leaves_max']}"
        wanted = aim("<= 20; leaves <= 256", row["max"] <= 20 and row["leaves_max"] <= 256)
    yield (f"simulated cluster at {row['at_s']} s: peers of a {row['kind']} node, p50 / p99 / max",
           f"{row['p50']} / {row['p99']} / {row['max']}{leaves}", "-", "-", wanted)


def convergence(row):
    whole = f"{row['p50']:.1f} / {row['p99']:.1f} / {row['max']:.1f}"
    if row["not_healed"]:
        whole = f"{row['not_healed']} never"
    yield (f"  {row['killed']} relays vanish: {row['hurt']} nodes whole again after heartbeats, p50 / p99 / max", whole,
           "-", "-", aim("<= 3", not row["not_healed"] and row["max"] <= 3))
    working = "never" if row["routes_any"] < 0 else f"{row['routes_any']:.1f}"
    yield ("  500 pairs: all have a working path among the first 8, after heartbeats",
           f"{working} (lowest share {100 * row['routes_lowest']:.1f} %; of first choices "
           f"{100 * row['first_lowest']:.1f} %)", "-", "-", aim("<= 3", 0 <= row["routes_any"] <= 3))
