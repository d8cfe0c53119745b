"""The story of five nodes, step by step: `./dev up --nodes 5 [--check]`. Each step looks at what really happened."""

from devtools import story
from devtools.process import Failed
from devtools.story import RUNNING


def owner_path(steps, fleet):
    """From an empty control plane to five nodes that serve sessions to `demo-ssh`."""
    story.found(steps, fleet)
    enroll(steps, fleet)
    story.publish_ssh(steps, fleet)
    assign(steps, fleet)
    story.resource(steps, fleet)
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
        step.detail = ", ".join(f"{node.name} {host.address}"
                                for node, host in zip(fleet.nodes, fleet.network.hosts.values()))


def assign(steps, fleet):
    with steps.step("assign roles") as step:
        wanted = []
        for node in fleet.nodes:
            for role in fleet.roles(node):
                whose = ["--organization", fleet.organization_id] if role == "ssh-worker" else []
                made = fleet.rapctl_json("role", "assign", role, "--node", node.id, *whose)
                wanted.append((node, role, made["id"]))
        step.detail = ", ".join(f"{node.name} {role}" for node, role, _ in wanted)

    with steps.step("agents download, verify and load them in workers") as step:
        versions = {node.wait_workload(assignment, RUNNING).get("version") for node, _, assignment in wanted}
        if None in versions:
            raise Failed("a running workload names no version")
        step.detail = f"{len(wanted)} workloads run"


session_path = story.session_path
