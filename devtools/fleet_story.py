"""The story of five nodes, step by step: `./dev up --nodes 5 [--check]`. Each step looks at what really happened."""

import concurrent.futures
import pathlib
import signal
import time

from devtools import story
from devtools.namespaces import reaches
from devtools.process import Failed, children_of, descendants_of, kill_exact, start_time, wait_until
from devtools.story import RUNNING

MESH_PRODUCT, MESH_VERSION = "plugin.rap.mesh", "0.1.0"
SILENCE_S = 1  # for an answer that must not come


def owner_path(steps, fleet):
    """From an empty control plane to five nodes that serve sessions to `demo-ssh`, through entry and relay."""
    story.found(steps, fleet)
    if fleet.network.separate:
        with steps.step("a firewall for each host") as step:
            fleet.close_ports()
            step.detail = "in: the entry's port; nodes that serve sessions have none"
    story.publish_ssh(steps, fleet)
    story.publish(steps, fleet, "mesh", MESH_PRODUCT, MESH_VERSION, "mesh.so")
    enroll(steps, fleet)
    assign(steps, fleet)
    story.resource(steps, fleet)
    gather(steps, fleet)
    story.first_session(steps, fleet)


def enroll(steps, fleet):
    with steps.step("five join tokens") as step:
        for node in fleet.nodes:
            story.make_token(fleet, node, *fleet.roles(node))
        step.detail = "one use each, ten minutes"

    with steps.step("five agents ask to enroll") as step:
        for node in fleet.nodes:
            node.start_enroll()
        requests = [node.wait_join_request() for node in fleet.nodes]
        step.detail = f"{len(requests)} requests wait for a person"

    with steps.step("owner approves") as step:
        for node, request in zip(fleet.nodes, requests):
            node.accept(request)
        for node in fleet.nodes:
            node.wait_enrolled()
        step.detail = ", ".join(f"{node.name} {node.id}" for node in fleet.nodes)

    with steps.step("five nodes are online") as step:
        for node in fleet.nodes:
            node.start()
        for node in fleet.nodes:
            node.wait_online()
        step.detail = ", ".join(f"{node.name} {fleet.host(node).address}" for node in fleet.nodes)


def assign(steps, fleet):
    with steps.step("assign roles") as step:
        wanted = []
        for node in fleet.nodes:
            for role in fleet.roles(node):
                more = ["--organization", fleet.organization_id] if role == "ssh-worker" else []
                made = fleet.rapctl_json("role", "assign", role, "--node", node.id, *more)
                wanted.append((node, role, made["id"]))
        step.detail = ", ".join(f"{node.name} {role}" for node, role, _ in wanted if role != "core-mesh") \
            + ", core-mesh on all"

    with steps.step("agents download, verify and load them in workers") as step:
        versions = {node.wait_workload(assignment, RUNNING).get("version") for node, _, assignment in wanted}
        if None in versions:
            raise Failed("a running workload names no version")
        step.detail = f"{len(wanted)} workloads run"


def gather(steps, fleet):
    """The mesh forms by itself; this waits until the control plane has heard of it."""
    entry, relays, serving = (fleet.with_role(r) for r in ("entry-node", "relay-node", "ssh-worker"))
    if fleet.network.separate:
        with steps.step("from here only the entry can be reached") as step:
            port = fleet.ports[entry[0].name]
            wait_until(lambda: reaches(fleet.host(entry[0]).address, port), f"{entry[0].name}:{port}", entry[0].log)
            closed = [f"{fleet.host(r).address}:{fleet.ports[r.name]}" for r in relays]
            closed += filter(None, (node.seen()["mesh_endpoint"] for node in fleet.nodes))  # their other listener
            with concurrent.futures.ThreadPoolExecutor(len(closed)) as pool:
                answers = pool.map(lambda where: reaches(*where.rsplit(":", 1), SILENCE_S), closed)
            if opened := [where for where, answer in zip(closed, answers) if answer]:
                raise Failed(f"from here answers: {', '.join(opened)}")
            step.detail = f"{entry[0].name} {fleet.host(entry[0]).address}:{port}, not {', '.join(closed)}"

    with steps.step("nodes find each other") as step:
        pairs = [(entry[0], r) for r in relays] + [(r, s) for r in relays for s in serving]
        wait_links(fleet, lambda said: all(is_up(said, *pair) for pair in pairs),
                   "links between entry, relays and those that serve")
        step.detail = ", ".join(f"{a.name} - {b.name}" for a, b in pairs)

    with steps.step("the entry knows ways to those that serve") as step:
        wait_until(lambda: all(ways(fleet, s) for s in serving), "a way", entry[0].log, every_s=0.2)
        step.detail = "; ".join(" > ".join(ways(fleet, s)[0]) for s in serving)


# What the mesh says of itself, and what becomes of it.

def says(fleet):
    """(node, peer) to what that node says of its link to the peer: up, down or unknown (it fell silent)."""
    return {(item["node_id"], item["peer_id"]): item["state"]
            for item in fleet.api.items(f"/v1/clusters/{fleet.cluster_id}/mesh-links")}


def is_up(said, a, b):
    return said.get((a.id, b.id)) == said.get((b.id, a.id)) == "up"


def wait_links(fleet, condition, what):
    wait_until(lambda: condition(says(fleet)), what, fleet.with_role("entry-node")[0].log, every_s=0.2)


def events(fleet, a, b):
    """The states that `a` reported of its link to `b`, in order."""
    found = fleet.api.items(f"/v1/clusters/{fleet.cluster_id}/mesh-link-events?node_id={a.id}")
    return [e["state"] for e in reversed(found) if (e["node_id"], e["peer_id"]) == (a.id, b.id)]


def ways(fleet, node):
    """Lists of names: the ways that the entry would take to `node`, best first."""
    answer = fleet.api.get(f"/v1/clusters/{fleet.cluster_id}/mesh-routes?to={node.id}")
    return [[n["name"] for n in path["nodes"]] for route in answer["routes"] for path in route["paths"]]


def relay_of(fleet, shell, step):
    """The relay on the session's way, by a stream that went there and came back; the way goes into the step."""
    found, = fleet.rapctl_json("mesh", "trace", "--to", shell.session_id)  # one entry
    if found["error"] or not found["echo"]:
        raise Failed(f"mesh trace: {found}")
    way = [fleet.of(hop["node_name"]) for hop in found["hops"]]
    step.detail = " > ".join(n.name for n in way)
    kinds = [fleet.kind(node) for node in way]
    if kinds != ["entry-node", "relay-node", "ssh-worker"] or way[-1] is not story.serving(fleet, shell.session_id):
        raise Failed(f"not entry, relay, the session's node: {step.detail}")
    return way[1]


def mesh_worker(node):
    """The pid of the process that carries the node's streams: the only one of its agent's with the network."""
    def look():
        for pid in children_of(node.pid):
            try:
                command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"--network" in command:
                return pid
        return None
    return wait_until(look, f"the mesh worker of {node.name}", node.log)


def kill_mesh(worker):
    """Back when it is gone, with those it started: until then bytes may still pass."""
    family = [(pid, start_time(pid)) for pid in (worker, *descendants_of(worker))]
    for pid, started in family:
        kill_exact(pid, started, signal.SIGKILL)
    wait_until(lambda: all(start_time(pid) != started for pid, started in family), "the end of a mesh worker")


def kill_node(node):
    """The agent first, so that nobody starts the other again."""
    worker = mesh_worker(node)
    node.process.kill9()
    kill_mesh(worker)


def session_path(steps, fleet):
    """A session as over one node; then one shell, while one thing after the other that carries it is lost."""
    story.session_path(steps, fleet)
    steps.heading("Losing what carries it")
    with steps.step("open a session over the mesh") as step:
        shell = Shell(fleet)
        step.detail = f"{shell.session_id}, shell pid {shell.pid}"
    # On loopback addresses nothing keeps the entry from the nodes that serve: there is no relay to lose.
    if fleet.network.separate:
        lose_relay(steps, fleet, shell)
    lose_entry(steps, fleet, shell)
    lose_control_plane(steps, fleet, shell)
    end(steps, fleet, shell)


class Shell:
    """A person's terminal, and the shell on the target that must stay the same one."""

    def __init__(self, fleet):
        self.terminal = story.open_session(fleet)
        self.session_id = story.only_session(fleet)["id"]
        self.pid = story.shell_pid(self.terminal)

    def same(self):
        story.same_shell(self.terminal, self.pid)

    def pause(self, happening):
        """How long the person waits for an answer."""
        began = time.monotonic()
        happening()
        self.same()
        return f"the shell answers after {time.monotonic() - began:.2f} s"


def lose_relay(steps, fleet, shell):
    entry = fleet.with_role("entry-node")[0]
    with steps.step("mesh trace shows the way: entry, relay, the session's node") as step:
        lost = relay_of(fleet, shell, step)

    with steps.step("kill -9 of that relay, agent and mesh: the same shell") as step:
        step.detail = f"{lost.name}; {shell.pause(lambda: kill_node(lost))}"

    with steps.step("mesh links and mesh trace show it") as step:
        wait_links(fleet, lambda said: said.get((entry.id, lost.id)) == "down", f"{entry.name} to say that it is gone")
        if relay_of(fleet, shell, step) is lost:
            raise Failed(f"the way goes over {lost.name}, which is not there")

    with steps.step("the relay is started again: its links are up"):
        lost.start()
        wait_links(fleet, lambda said: all(is_up(said, lost, n) for n in fleet.nodes if n is not lost), "its links")


def lose_entry(steps, fleet, shell):
    entry, relays = fleet.with_role("entry-node")[0], fleet.with_role("relay-node")
    with steps.step("kill -9 of the only entry, agent and mesh, and its start: the same shell") as step:
        step.detail = f"{entry.name}; {shell.pause(lambda: (kill_node(entry), entry.start()))}"

    with steps.step("the entry's links are up"):
        wait_links(fleet, lambda said: all(is_up(said, entry, r) for r in relays), "the links of the entry")


def lose_control_plane(steps, fleet, shell):
    entry = fleet.with_role("entry-node")[0]
    if fleet.network.separate:
        with steps.step("the way now") as step:
            used = relay_of(fleet, shell, step)

    with steps.step("control plane and PostgreSQL stopped: the same shell"):
        fleet.control.stop()
        fleet.postgres.stop()
        shell.same()

    if fleet.network.separate:
        with steps.step("a firewall between entry and relay, nobody to ask: the same shell") as step:
            cut = shell.pause(lambda: fleet.host(used).cut(fleet.host(entry).address))
            step.detail = f"{entry.name} | {used.name}; {cut}"

        with steps.step("kill -9 of both relays' mesh, still nobody to ask: the same shell") as step:
            workers = [mesh_worker(r) for r in fleet.with_role("relay-node")]
            step.detail = shell.pause(lambda: [kill_mesh(w) for w in workers])

    with steps.step("PostgreSQL and control plane are back: the same shell"):
        fleet.ensure_running()
        shell.same()

    if fleet.network.separate:
        with steps.step("mesh links and mesh trace show the cut") as step:
            wait_links(fleet, lambda said: said.get((entry.id, used.id)) == "down" and
                       said.get((used.id, entry.id)) != "up", "the cut link")
            if relay_of(fleet, shell, step) is used:
                raise Failed(f"the way goes over {used.name}, which the entry cannot reach")

        with steps.step("the firewall is gone: mesh links and its events tell all of it") as step:
            fleet.host(used).mend()
            wait_links(fleet, lambda said: is_up(said, entry, used), "the link that was cut")
            told = {relay.name: events(fleet, entry, relay) for relay in fleet.with_role("relay-node")}
            if "down" not in told[used.name] or told[used.name][-1] != "up":
                raise Failed(f"of {entry.name} - {used.name} was told: {told[used.name]}")
            step.detail = "; ".join(f"{entry.name} - {name}: {', '.join(states)}" for name, states in told.items())


def end(steps, fleet, shell):
    with steps.step("terminate ends it, also on the target"):
        shell.same()
        fleet.rapctl("session", "terminate", shell.session_id)
        shell.terminal.wait()
        story.wait_state(fleet, shell.session_id, "closed")
        wait_until(lambda: start_time(shell.pid) is None, "the shell on the target to end")

    with steps.step("one session in the audit log, opened and terminated; the chain holds") as step:
        told = str([e for e in story.audit_actions(fleet) if shell.session_id in str(e)])
        missing = [w for w in ("opened", "terminated") if w not in told]
        if missing:
            raise Failed(f"not told: {', '.join(missing)}")
        verdict = fleet.api.get(f"/v1/clusters/{fleet.cluster_id}/audit-events/verify")
        if not verdict.get("ok", verdict.get("valid")):
            raise Failed(f"the audit chain does not verify: {verdict}")
        step.detail = f"{verdict.get('events', verdict.get('checked', '?'))} events"
