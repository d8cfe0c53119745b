"""The owner's path and a session, step by step; each step looks at what really happened.

Everything a person would do is done with rapctl and the agent's own commands; the outcome is read back through the
API or from the machine. Used by `./dev up`, `./dev up --check` and the end-to-end tests.
"""

import re
import time

from devtools.process import Failed, start_time, wait_until
from devtools.terminal import Terminal

RUNNING = ("running", "ready", "active")
PRODUCT, VERSION = "plugin.rap.ssh", "0.1.0"


def owner_path(steps, platform):
    """From an empty control plane to a node that serves sessions to `demo-ssh`."""
    found(steps, platform)
    enroll(steps, platform)
    publish_ssh(steps, platform)
    assign_ssh(steps, platform)
    resource(steps, platform)
    first_session(steps, platform)


def found(steps, platform):
    api = platform.api
    with steps.step("owner logs in") as step:
        platform.rapctl("login", "--server", platform.url, "--ca", platform.ca_file, "--login", platform.owner,
                        "--password-file", platform.password_file)
        api.login(platform.owner, platform.password)
        step.detail = api.get("/v1/auth/whoami").get("login", platform.owner)

    with steps.step("create cluster") as step:
        cluster = platform.rapctl_json("cluster", "create", "--name", "Demo cluster", "--slug", "demo")
        platform.cluster_id = cluster["id"]
        step.detail = cluster["id"]

    with steps.step("a holder of R's trust key vouches for the cluster's director") as step:
        root = platform.countersign(cluster["id"])
        step.detail = f"{root['signatures']} of {root['threshold']} signatures"

    with steps.step("create organization") as step:
        organization = platform.rapctl_json("organization", "create", "--name", "Demo organization", "--slug",
                                            "demo")
        platform.organization_id = organization["id"]
        platform.rapctl("membership", "add", platform.owner, "--role", "admin", "--organization",
                        organization["id"])
        step.detail = organization["id"]


def make_token(platform, node, *roles):
    made = platform.rapctl_json("join-token", "create", "--ttl", 600, "--max-uses", 1,
                                *(word for role in roles for word in ("--role", role)))
    platform.write_secret(node.token_file, made["token"])
    if not re.fullmatch(r"rapjoin1\.[\w-]+\.[\w-]+\.[\w-]+", made["token"]):
        raise Failed("the join token does not look like one")


def enroll(steps, platform):
    node = platform.node
    with steps.step("join token") as step:
        make_token(platform, node, "ssh-worker")
        step.detail = "one use, ten minutes"

    with steps.step("agent asks to enroll") as step:
        node.start_enroll()
        request = node.wait_join_request()
        step.detail = f"{request['id']} waits for a person"

    with steps.step("owner approves") as step:
        node.approve(request)
        step.detail = node.id

    with steps.step("node is online") as step:
        node.start()
        step.detail = f"certificate until {node.wait_online()['certificate_not_after']}"


def publish(steps, platform, what, product, version, library):
    with steps.step(f"publish the {what} plugin, signed") as step:
        release = platform.publish(product, version, platform.plugins / library, sequence=1)
        step.detail = f"{product} {version}, {release['length']} bytes, sha256 {release['sha256'][:16]}.."


def publish_ssh(steps, platform):
    publish(steps, platform, "ssh", PRODUCT, VERSION, "ssh.so")


def assign_ssh(steps, platform):
    node = platform.node
    with steps.step("assign role ssh-worker") as step:
        assignment = platform.rapctl_json("role", "assign", "ssh-worker", "--node", node.id, "--organization",
                                          platform.organization_id)
        platform.assignment_id = assignment["id"]
        step.detail = platform.assignment_id

    with steps.step("agent downloads, verifies and loads it in a worker") as step:
        workload = node.wait_workload(platform.assignment_id, RUNNING)
        step.detail = f"version {workload.get('version')}, {workload.get('detail') or 'running'}"


def resource(steps, platform):
    with steps.step("resource demo-ssh with its secret") as step:
        platform.make_resources()
        step.detail = f"127.0.0.1:{platform.sshd.port}, user {platform.target_user}"


def first_session(steps, platform):
    with steps.step("a session is opened to the sshd") as step:
        with open_session(platform) as terminal:
            pid = shell_pid(terminal)
            session = only_session(platform)
            platform.rapctl("session", "terminate", session["id"])
            terminal.wait()
        wait_until(lambda: state_of(platform, session["id"]) == "closed", "state closed")
        wait_until(lambda: start_time(pid) is None, "the shell on the target to end")
        step.detail = f"shell pid {pid} on the target; terminated again"


# Sessions.

def open_session(platform, resource="demo-ssh", **size):
    terminal = Terminal([platform.bin / "rapctl", "session", "open", "--resource", resource], platform.env(),
                        name="rapctl session open", **size)
    terminal.expect(r"[$#] $", what="a shell prompt")
    return terminal


def attach(platform, session_id, *options, **size):
    return Terminal([platform.bin / "rapctl", "session", "attach", session_id, *options], platform.env(),
                    name="rapctl session attach", **size)


def shell_pid(terminal):
    return int(terminal.ask("echo pid=$$", r"\npid=(\d+)").group(1))


def sessions(platform, *states):
    return [s for s in platform.api.items(f"/v1/sessions?organization_id={platform.organization_id}")
            if not states or s["state"] in states]


def only_session(platform):
    live = sessions(platform, "opening", "active", "detached")
    if len(live) != 1:
        raise Failed(f"expected one live session, there are {len(live)}: {live}")
    return live[0]


def serving(platform, session_id):
    """The node that a session runs on."""
    where = platform.api.get(f"/v1/sessions/{session_id}")["node_id"]
    return next(n for n in platform.nodes if n.id == where)


def state_of(platform, session_id):
    return platform.api.get(f"/v1/sessions/{session_id}")["state"]


def wait_state(platform, session_id, state):
    wait_until(lambda: state_of(platform, session_id) == state, f"session state {state}",
               platform.node.log, every_s=0.1)


def audit_actions(platform):
    found = []
    for path in (f"/v1/clusters/{platform.cluster_id}/audit-events",
                 f"/v1/organizations/{platform.organization_id}/audit-events"):
        found += platform.api.items(path)
    return found


def session_path(steps, platform):
    """The terminal story of the product: one shell process, through everything that happens to those who watch it."""
    with steps.step("open an interactive session") as step:
        first = open_session(platform)
        session_id = only_session(platform)["id"]
        pid = shell_pid(first)
        step.detail = f"{session_id}, shell pid {pid}"

    with steps.step("resize reaches the target"):
        first.resize(101, 37)
        wait_until(lambda: first.ask("stty size", r"\n(\d+ \d+)\n").group(1) == "37 101", "37 rows, 101 columns")

    with steps.step("UTF-8 in and out"):
        first.ask("printf '%s\\n' 'Grüße, 世界, \U0001f680' | tr -d ,", r"\nGrüße 世界 \U0001f680")

    with steps.step("Ctrl-C interrupts"):
        first.mark()
        first.line("sleep 300")
        time.sleep(0.3)
        first.send("\x03")
        first.ask("echo status=$?", r"\nstatus=130")

    with steps.step("a full-screen program"):
        first.mark()
        first.line("less --version | head -1 | cut -c1-4; printf '\\033[?1049h\\033[2J\\033[5;10Hfull\\055screen'; "
                   "read -r _; printf '\\033[?1049l'")
        first.expect("full-screen")
        first.send("\r")

    with steps.step("~d walks away; the list says detached"):
        first.send("\r")
        first.expect(r"[$#] $")
        first.send("~d")
        first.wait()
        wait_state(platform, session_id, "detached")
        listed = platform.rapctl("session", "list")
        line = next((l for l in listed.splitlines() if session_id in l), "")
        if "detached" not in line:
            raise Failed(f"rapctl session list shows {line!r}")

    with steps.step("attach again: the same shell"):
        second = attach(platform, session_id)
        attached_to(second, pid)

    with steps.step("a second terminal takes it over; the first is told who") as step:
        third = attach(platform, session_id)
        told = second.expect(r"(?i)taken over by ([^\n]+)", what="who took it over")
        second.wait()
        attached_to(third, pid)
        step.detail = told.group(0).strip()

    with steps.step("watch read-only with --view"):
        viewer = attach(platform, session_id, "--view")
        third.ask("echo seen-by-both=$((6*7))", r"\nseen-by-both=42")
        viewer.expect(r"seen-by-both=42")
        viewer.send("echo from-the-viewer\r")
        time.sleep(0.5)
        third.ask("echo next", r"\nnext")
        if "from-the-viewer" in third.output():
            raise Failed("the viewer's input reached the shell")
        viewer.send("~d") if viewer.poll() is None else None
        viewer.close()

    with steps.step("kill -9 of the agent: the session goes on") as step:
        node = serving(platform, session_id)
        old = node.pid
        node.process.kill9()
        same_shell(third, pid)
        node.start()
        same_shell(third, pid)
        step.detail = f"agent {old} killed, {node.pid} took over"

    with steps.step("kill -9 of rapctl: detached, and attached again"):
        third.kill9()
        wait_state(platform, session_id, "detached")
        fourth = attach(platform, session_id)
        attached_to(fourth, pid)

    with steps.step("terminate ends it, also on the target"):
        platform.rapctl("session", "terminate", session_id)
        fourth.wait()
        wait_state(platform, session_id, "closed")
        wait_until(lambda: start_time(pid) is None, "the shell on the target to end")

    with steps.step("all of it is in the audit log, and the chain holds") as step:
        wanted = {"join_token", "join_request", "approve", "role", "session"}
        text = " ".join(str(e) for e in audit_actions(platform))
        missing = [w for w in wanted if w not in text]
        kinds = [k for k in ("opened", "attached", "detached", "taken_over", "terminated") if k not in text]
        if missing or kinds:
            raise Failed(f"not in the audit log: {', '.join(missing + kinds)}")
        verdict = platform.api.get(f"/v1/clusters/{platform.cluster_id}/audit-events/verify")
        if not verdict.get("ok", verdict.get("valid")):
            raise Failed(f"the audit chain does not verify: {verdict}")
        step.detail = f"{verdict.get('events', verdict.get('checked', '?'))} events"


def attached_to(terminal, pid):
    """A new attachment shows a screen at once, and it is the same shell."""
    terminal.expect(r"\S", what="a screen")
    same_shell(terminal, pid)


def same_shell(terminal, pid):
    now = shell_pid(terminal)
    if now != pid:
        raise Failed(f"another shell: pid {now}, it was {pid}")
