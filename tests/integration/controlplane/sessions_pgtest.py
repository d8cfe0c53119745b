"""Sessions: placement, leases, what nodes report, and what happens when they stop."""

import base64
import json
import os
import signal
import time
import unittest

from tests.integration.controlplane.harness import Aside, PlaneTest, wait_until

CERTIFICATE = "ab" * 32


def claims(lease):
    part = lease.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


class Sessions(PlaneTest):
    def setUp(self):
        self.cluster_id, self.organization_id = self.cluster(), self.organization()
        self.n = self.node(self.cluster_id)
        self.assignment = self.owner.post(f"/v1/clusters/{self.cluster_id}/role-assignments", {
            "node_id": self.n.id, "role": "ssh-worker", "organization_id": self.organization_id})["id"]
        self.beat()
        base = f"/v1/organizations/{self.organization_id}"
        self.secret = self.owner.post(f"{base}/secrets", {"name": "pw", "value": "hunter2"})["id"]
        self.resource = self.owner.post(f"{base}/resources", {
            "name": "demo", "protocol": "ssh", "cluster_id": self.cluster_id, "target": {"host": "h", "port": 22},
            "secret_ref": self.secret, "options": {}})["id"]
        self.member = self.person(self.organization_id)
        # A heartbeat is stored a moment after its answer.
        wait_until(lambda: self.owner.get(f"/v1/nodes/{self.n.id}")["workloads"], "the workload is known")

    def beat(self, sessions=(), node=None):
        (node or self.n).beat(sessions=list(sessions), workloads=[
            {"assignment_id": self.assignment, "role": "ssh-worker", "state": "running", "detail": "", "version": "1"}])

    def open(self, **more):
        return self.placed(self.beat, lambda: self.member.post("/v1/sessions", {
            "resource": "demo", "client_certificate_sha256": CERTIFICATE, "mode": "control", **more}))

    def state(self, session):
        return self.member.get(f"/v1/sessions/{session}")["state"]

    def until(self, session, state):
        wait_until(lambda: self.state(session) == state, f"{state}, it is {self.state(session)}")

    def test_open_attach_terminate(self):
        workloads = self.owner.get(f"/v1/nodes/{self.n.id}")["workloads"]
        self.assertEqual(workloads[0]["organization_id"], self.organization_id)
        answer = self.open()
        session = answer["session"]["id"]
        self.assertEqual(answer["node"]["endpoint"], "127.0.0.1:4433")
        self.assertEqual(answer["node"]["spiffe_id"], f"spiffe://{self.cluster_id}/node/{self.n.id}")
        lease = claims(answer["lease"])
        self.assertEqual((lease["verb"], lease["mode"], lease["sid"], lease["aud"]),
                         ("open", "control", session, answer["node"]["spiffe_id"]))
        self.assertEqual(lease["exp"] - lease["iat"], 30)
        self.assertEqual(base64.urlsafe_b64decode(lease["cnf"]["x5t#S256"] + "="), bytes.fromhex(CERTIFICATE))
        event = lambda i, kind, **m: {"event_id": f"{session}-{i}", "session_id": session, "kind": kind,
                                      "at": "2026-01-01T00:00:00Z", **m}
        send = lambda *events: self.n.api().post("/v1/node/session-events", {"events": list(events)})
        self.assertEqual(send(event(1, "state", state="active"))["accepted"], 1)
        self.assertEqual(send(event(1, "state", state="active"))["accepted"], 0)
        self.assertEqual(self.state(session), "active")
        send(event(2, "attached", user_id="usr_x", user_name="Anna", mode="control"), event(3, "detached", state="detached"))
        self.assertEqual(self.state(session), "detached")
        again = self.member.post(f"/v1/sessions/{session}/attach", {"mode": "view", "client_certificate_sha256": CERTIFICATE})
        self.assertEqual(claims(again["lease"])["mode"], "view")
        self.assertNotEqual(claims(again["lease"])["jti"], lease["jti"])
        self.refused(404, "not_found", self.person(self.organization()).get, f"/v1/sessions/{session}")
        seen = self.n.api().get("/v1/node/desired")
        self.assertEqual(seen["close_sessions"], [])
        self.member.post(f"/v1/sessions/{session}/terminate")
        self.member.post(f"/v1/sessions/{session}/terminate")
        desired = self.n.api().get(f"/v1/node/desired?seen={seen['seq']}&wait_ms=5000")
        self.assertEqual([s["session_id"] for s in desired["close_sessions"]], [session])
        self.refused(409, "conflict", self.member.post, f"/v1/sessions/{session}/attach", {"client_certificate_sha256": CERTIFICATE})
        self.beat([{"session_id": session, "state": "active", "detail": "", "viewers": 0}])
        time.sleep(0.3)
        self.assertEqual(self.state(session), "closing")
        send(event(4, "state", state="closed", exit_status=0, detail="exit"))
        shown = self.member.get(f"/v1/sessions/{session}")
        self.assertEqual((shown["state"], shown["exit_status"]), ("closed", 0))
        # The node got the wish again, from before its word had come here.
        self.assertEqual(send(event(5, "state", state="closed", detail="there is no such session on this node"))["accepted"], 0)
        self.assertEqual(self.member.get(f"/v1/sessions/{session}")["detail"], "exit")
        self.assertEqual(self.kinds(self.cluster_id).count("session.closed"), 1)
        self.beat([{"session_id": session, "state": "active", "detail": "", "viewers": 0}])
        time.sleep(0.3)
        self.assertEqual(self.state(session), "closed")
        kinds = self.kinds(self.cluster_id)
        for kind in ("requested", "opened", "attached", "detached", "attach_granted", "terminated", "closed"):
            self.assertIn(f"session.{kind}", kinds)
        self.assertEqual(kinds.count("session.opened"), 1)
        self.assertTrue(self.owner.get(f"/v1/clusters/{self.cluster_id}/audit-events/verify")["valid"])

    def test_ends_with_what_it_rests_on(self):
        keeper, leaver = self.open()["session"]["id"], self.person(self.organization_id)
        left = leaver.post("/v1/sessions", {"resource": "demo", "client_certificate_sha256": CERTIFICATE})["session"]["id"]
        members = self.owner.get(f"/v1/organizations/{self.organization_id}/memberships")["items"]
        who = leaver.get("/v1/auth/whoami")["id"]
        self.owner.delete(next(f"/v1/memberships/{m['id']}" for m in members if m["user_id"] == who))
        self.assertEqual(self.owner.get(f"/v1/sessions/{left}")["state"], "closing")
        self.assertEqual(self.state(keeper), "opening")
        wanted = lambda: [s["session_id"] for s in self.n.api().get("/v1/node/desired")["close_sessions"]]
        self.assertEqual(wanted(), [left])
        self.owner.delete(f"/v1/resources/{self.resource}")
        self.assertEqual((self.state(keeper), wanted()), ("closing", sorted([left, keeper])))
        base = f"/v1/organizations/{self.organization_id}"
        self.owner.post(f"{base}/resources", {"name": "demo", "protocol": "ssh", "cluster_id": self.cluster_id,
                                              "target": {"host": "h", "port": 22}, "options": {}})
        third = self.open()["session"]["id"]
        self.owner.delete(f"/v1/role-assignments/{self.assignment}")
        self.assertEqual(self.state(third), "closing")
        self.assertEqual(self.kinds(self.cluster_id).count("session.terminated"), 3)

    def test_who_left_or_was_disabled_is_detached_from_the_sessions_of_others(self):
        session = self.open()["session"]["id"]
        leaver = self.person(self.organization_id)
        who = leaver.get("/v1/auth/whoami")["id"]
        attach = lambda: leaver.post(f"/v1/sessions/{session}/attach", {"client_certificate_sha256": CERTIFICATE})
        desired = lambda: self.n.api().get("/v1/node/desired")
        attach()
        before = desired()
        self.assertEqual(before["detach"], [])
        members = f"/v1/organizations/{self.organization_id}/memberships"
        remove = lambda: self.owner.delete(next(f"/v1/memberships/{m['id']}" for m in self.owner.items(members)
                                                if m["user_id"] == who))
        remove()
        # A long poll of the node is answered; what is wished stays, for an answer may be lost.
        woken = self.n.api().get(f"/v1/node/desired?seen={before['seq']}&wait_ms=5000")
        self.assertGreater(woken["seq"], before["seq"])
        self.assertEqual(woken["detach"], [{"session_id": session, "user_id": who}])
        self.assertEqual(woken["close_sessions"], [])
        self.assertEqual(desired()["detach"], woken["detach"])
        self.refused(404, "not_found", attach)
        self.owner.post(members, {"user_id": who, "role": "member"})
        self.assertEqual(desired()["detach"], [])
        attach()
        self.owner.post(f"/v1/users/{who}/disable")
        self.assertEqual(desired()["detach"], woken["detach"])
        self.refused(401, "unauthorized", attach)
        remove()
        self.owner.post(f"/v1/users/{who}/enable")
        self.assertEqual(desired()["detach"], woken["detach"])  # allowed to log in, and no member
        self.assertEqual(self.state(session), "opening")
        self.send({"event_id": session, "session_id": session, "kind": "state", "state": "closed"})
        self.assertEqual(desired()["detach"], [])
        count = f"select count(*) from session_detachments where session_id = '{session}'"
        wait_until(lambda: self.plane.admin_sql(count) == "0", "nothing is left of it")

    def test_a_disabled_person_loses_their_own_sessions(self):
        session = self.open()["session"]["id"]
        self.owner.post(f"/v1/users/{self.member.get('/v1/auth/whoami')['id']}/disable")
        self.assertEqual(self.owner.get(f"/v1/sessions/{session}")["state"], "closing")

    def test_nobody_attaches_while_their_membership_is_being_taken(self):
        session = self.open()["session"]["id"]
        who = self.member.get("/v1/auth/whoami")["id"]
        with self.plane.transaction(f"delete from memberships where user_id = '{who}'"):
            attach = Aside(self.member.post, f"/v1/sessions/{session}/attach", {"client_certificate_sha256": CERTIFICATE})
            wait_until(lambda: self.plane.waits_for_a_lock() or not attach.is_alive(), "attach waits")
        self.refused(403, "forbidden", attach.result)

    def send(self, *events):
        return self.n.api().post("/v1/node/session-events", {"events": list(events)})

    def test_a_node_writes_nothing_in_the_name_of_a_person(self):
        session = self.open()["session"]["id"]
        event = lambda i, kind, **m: {"event_id": f"{session}-{i}", "session_id": session, "kind": kind, **m}
        for kind in ("terminated", "requested", "attach_granted", ""):
            self.refused(400, "invalid", self.send, event(kind, kind))
        self.send(event(1, "attached", user_id="usr_x", user_name="Anna" + "a" * 300, mode="control", forged="f" * 5000))
        told = next(e for e in self.owner.items(f"/v1/clusters/{self.cluster_id}/audit-events")
                    if e["kind"] == "session.attached")
        self.assertEqual((told["actor"]["kind"], told["actor"]["id"]), ("node", self.n.id))
        self.assertEqual((told["detail"]["user_id"], told["detail"]["mode"]), ("usr_x", "control"))
        self.assertEqual(len(told["detail"]["user_name"]), 256)
        self.assertNotIn("forged", told["detail"])
        self.plane.admin_sql("insert into session_events (event_id, organization_id, session_id, node_id, kind, at) "
                             f"select gen_random_uuid(), '{self.organization_id}', '{session}', '{self.n.id}', 'state', "
                             "now() from generate_series(1, 2000)")
        self.refused(429, "exhausted", self.send, event(2, "detached"))

    def test_values_that_cannot_be_stored_are_final_for_one_only(self):
        session = self.open()["session"]["id"]
        event = lambda i, **m: {"event_id": f"{session}-{i}", "session_id": session, "kind": "state", **m}
        self.refused(400, "invalid", self.send, event(1, state="active", exit_status=1 << 40))
        self.refused(400, "invalid", self.send, event(1, state="active", at="0000-01-01T00:00:00Z"))
        text = "x" * 999 + "\u20ac"  # what is kept of it ends before the sign
        self.send(event(2, state="active", detail=text))
        self.assertEqual(self.member.get(f"/v1/sessions/{session}")["detail"], "x" * 999)
        report = {"session_id": session, "state": "active", "detail": "", "viewers": 1 << 40}
        self.refused(400, "invalid", self.n.beat, sessions=[report])
        self.beat([{**report, "viewers": 3, "detail": "y" * 998 + "\u20ac"}])
        wait_until(lambda: self.member.get(f"/v1/sessions/{session}")["viewers"] == 3, "viewers")

    def test_secret_only_for_a_session_on_the_node(self):
        session = self.open()["session"]["id"]
        ask = lambda n, **c: n.api().post("/v1/node/secrets/resolve", {"session_id": session, "secret_ref": self.secret, **c})
        self.assertEqual(base64.b64decode(ask(self.n)["value"]), b"hunter2")
        self.refused(404, "not_found", ask, self.node(self.cluster_id))
        other = self.owner.post(f"/v1/organizations/{self.organization_id}/secrets", {"name": "o", "value": "v"})["id"]
        self.refused(404, "not_found", ask, self.n, secret_ref=other)
        self.n.api().post("/v1/node/session-events", {"events": [
            {"event_id": "e" + session, "session_id": session, "kind": "state", "state": "failed"}]})
        self.refused(403, "forbidden", ask, self.n)
        self.assertIn("secret.resolved", self.kinds(self.cluster_id))
        self.assertNotIn("hunter2", (self.plane.folder / "log").read_text())
        self.assertNotIn("hunter2", self.plane.admin_sql("select row_to_json(s)::text from secrets s union all "
                                                         "select detail from cluster_audit_events"))
        self.refused(409, "conflict", self.owner.delete, f"/v1/secrets/{self.secret}")

    def test_placement_says_why_not(self):
        body = {"resource_id": self.resource, "client_certificate_sha256": CERTIFICATE}
        ask = lambda: self.member.post("/v1/sessions", body)
        self.owner.post(f"/v1/nodes/{self.n.id}/disable", {})
        self.assertEqual(self.refused(503, "unavailable", ask)["detail"],
                         "the node is disabled; an owner of the platform can enable it")
        name = self.owner.get(f"/v1/nodes/{self.n.id}")["name"]
        self.assertEqual(self.refused(503, "unavailable", self.owner.post, "/v1/sessions", body)["detail"],
                         f"the node {name} is disabled; 'rapctl node enable {name}' lets it work again")
        self.owner.post(f"/v1/nodes/{self.n.id}/enable", {})
        ask()
        self.owner.delete(f"/v1/role-assignments/{self.assignment}")
        self.assertIn("no node has the role", self.refused(503, "unavailable", ask)["detail"])
        outsider = self.person(self.organization())
        self.refused(404, "not_found", outsider.post, "/v1/sessions",
                     {"resource_id": self.resource, "client_certificate_sha256": CERTIFICATE})

    def test_placement_takes_the_node_with_least_and_says_what_is_in_the_way(self):
        ask = lambda: self.member.post("/v1/sessions", {"resource_id": self.resource, "client_certificate_sha256": CERTIFICATE})
        other = self.node(self.cluster_id)
        role = self.owner.post(f"/v1/clusters/{self.cluster_id}/role-assignments", {
            "node_id": other.id, "role": "ssh-worker"})["id"]
        says = lambda state, **more: other.beat(workloads=[
            {"assignment_id": role, "role": "ssh-worker", "state": state, "detail": "", "version": "1"}], **more)
        known = lambda state: wait_until(lambda: state in [w["state"] for w in self.owner.get(
            f"/v1/nodes/{other.id}")["workloads"]], state)
        says("running")
        known("running")
        placed_on = lambda: self.owner.get(f"/v1/sessions/{ask()['session']['id']}")["node_id"]
        placed = [placed_on() for _ in range(6)]
        self.assertEqual(sorted(placed), sorted([self.n.id, other.id] * 3))
        says("backoff")
        known("backoff")
        self.assertEqual({placed_on() for _ in range(3)}, {self.n.id})
        self.owner.post(f"/v1/nodes/{self.n.id}/disable", {})
        self.assertIn("is backoff", self.refused(503, "unavailable", ask)["detail"])
        says("running", mesh_endpoint="")
        known("running")
        self.assertIn("where it can be reached", self.refused(503, "unavailable", ask)["detail"])
        self.plane.admin_sql("update node_heartbeat_latest set received_at = received_at - interval '1 minute' "
                             f"where node_id = '{other.id}'")
        self.assertIn("sends heartbeats", self.refused(503, "unavailable", ask)["detail"])

    def test_sessions_that_are_over_go_after_their_time(self):
        old, young, live = (self.open()["session"]["id"] for _ in range(3))
        for session in (old, young):
            self.send(*({"event_id": f"{session}-{i}", "session_id": session, "kind": "attached", "user_name": "x"}
                        for i in range(3)), {"event_id": session, "session_id": session, "kind": "state", "state": "closed"})
        self.plane.admin_sql(f"update sessions set closed_at = now() - interval '89 days' where id = '{young}'; "
                             f"update sessions set closed_at = now() - interval '91 days' where id = '{old}'; "
                             f"update sessions set created_at = now() - interval '91 days' where id = '{live}'")
        left = lambda: [s["id"] for s in self.member.items("/v1/sessions")]
        wait_until(lambda: old not in left(), "the old one is gone")
        self.assertEqual(left(), [young, live])
        self.assertEqual(self.plane.admin_sql(f"select count(*) from session_events where session_id in ('{old}', '{young}')"), "4")
        self.refused(404, "not_found", self.member.get, f"/v1/sessions/{old}")
        told = [e["subject"] for e in self.owner.items(f"/v1/clusters/{self.cluster_id}/audit-events")]
        self.assertEqual(told.count(old), 5)
        # What the node still had to say of it is taken from it, and changes nothing.
        self.assertEqual(self.send({"event_id": "late" + old, "session_id": old, "kind": "detached"}),
                         {"accepted": 0, "ignored": 1})

    def test_session_that_the_node_forgot_fails(self):
        session = self.open()["session"]["id"]
        self.beat([{"session_id": session, "state": "active", "detail": "", "viewers": 1, "controller": "Anna"}])
        self.until(session, "active")
        self.assertEqual(self.member.get(f"/v1/sessions/{session}")["controller"], "Anna")
        self.plane.admin_sql(f"update sessions set created_at = now() - interval '1 minute', reported_at = now() - interval '20 seconds' where id = '{session}'")
        self.beat()
        self.until(session, "failed")
        self.assertIn("session.failed", self.kinds(self.cluster_id))

    def test_a_list_has_what_the_caller_may_see(self):
        sessions = sorted(self.open()["session"]["id"] for _ in range(3))
        self.plane.admin_sql(f"update sessions set state = 'failed' where id = '{sessions[1]}'")
        ids = lambda api, query="": [s["id"] for s in api.items("/v1/sessions" + query)]
        self.assertEqual(ids(self.member), sessions)
        self.assertEqual(ids(self.member, "?state=opening,active"), [sessions[0], sessions[2]])
        self.assertEqual(ids(self.member, f"?organization_id={self.organization_id}"), sessions)
        page = self.member.get("/v1/sessions?limit=2")
        self.assertEqual([s["id"] for s in page["items"]], sessions[:2])
        self.assertEqual([s["id"] for s in self.member.get(f"/v1/sessions?cursor={page['next_cursor']}")["items"]], sessions[2:])
        newest = sessions[::-1]
        for api in (self.member, self.owner):
            of = f"&organization_id={self.organization_id}"
            self.assertEqual(ids(api, "?order=newest" + of), newest)
            self.assertEqual(ids(api, "?order=newest&state=opening" + of), [newest[0], newest[2]])
            page = api.get("/v1/sessions?order=newest&limit=2" + of)
            self.assertEqual([s["id"] for s in page["items"]], newest[:2])
            rest = api.get(f"/v1/sessions?order=newest&cursor={page['next_cursor']}" + of)
            self.assertEqual(([s["id"] for s in rest["items"]], rest["next_cursor"]), (newest[2:], None))
        outsider = self.person(self.organization())
        self.assertEqual(ids(outsider) + ids(outsider, f"?organization_id={self.organization_id}"), [])
        self.assertLessEqual(set(sessions), set(ids(self.owner)))

    def test_a_node_is_not_silent_because_the_control_plane_was_away(self):
        def restarted():
            self.plane.process.stop()
            self.long_ago()
            began = time.monotonic()
            self.plane.start()
            return began

        self.assertEqual(self.told_silent_after(restarted), 0)

    def long_ago(self):
        self.plane.admin_sql("update node_heartbeat_latest set received_at = received_at - interval '1 minute'")

    def told_silent_after(self, away):
        told = lambda: self.kinds(self.cluster_id).count("node.silent")
        for _ in range(5):
            self.beat()
            before, began = told(), away()
            time.sleep(5)  # it looks each two seconds
            self.beat()
            if time.monotonic() - began < 18:  # of the 20 s that make silent
                return told() - before
        self.fail("this machine stands still each time")

    def test_a_heartbeat_that_comes_late_changes_nothing(self):
        """As when another server has written a newer one of the same node."""
        session = self.open()["session"]["id"]
        says = lambda state: self.beat([{"session_id": session, "state": state, "detail": "", "viewers": 0}])
        says("active")
        self.until(session, "active")
        logged = lambda: int(self.plane.admin_sql(f"select count(*) from node_heartbeats where node_id = '{self.n.id}'"))
        reported = lambda: self.plane.admin_sql(f"select reported_at from sessions where id = '{session}'")

        def late():
            # Less than the 15 seconds after which a session that is not in it counts as gone.
            self.plane.admin_sql("update node_heartbeat_latest set received_at = now() + interval '12 seconds' "
                                 f"where node_id = '{self.n.id}'")
            before, count = reported(), logged()
            self.n.beat(capabilities=[], sessions=[{"session_id": session, "state": "detached", "detail": "", "viewers": 0}])
            wait_until(lambda: logged() > count, "the late one in the log")
            shown = self.owner.get(f"/v1/nodes/{self.n.id}")
            return (len(shown["workloads"]), len(shown["capabilities"]), self.state(session), reported() == before)
        self.assertEqual(self.undisturbed(11, late), (1, 1, "active", True))

    def test_a_heartbeat_older_than_an_event_leaves_the_session(self):
        session = self.open()["session"]["id"]
        self.n.api().post("/v1/node/session-events", {"events": [
            {"event_id": "e" + session, "session_id": session, "kind": "state", "state": "detached"}]})
        self.plane.admin_sql(f"update sessions set reported_at = now() + interval '40 seconds' where id = '{session}'")
        self.beat([{"session_id": session, "state": "active", "detail": "", "viewers": 0}])
        time.sleep(0.5)
        self.assertEqual(self.state(session), "detached")

    def test_silent_node_keeps_its_sessions(self):
        session = self.open()["session"]["id"]
        self.beat([{"session_id": session, "state": "detached", "detail": "", "viewers": 0}])
        self.until(session, "detached")
        for table in ("node_heartbeat_latest",):
            self.plane.admin_sql(f"update {table} set received_at = received_at - interval '10 minutes' where node_id = '{self.n.id}'")
        self.plane.admin_sql(f"update sessions set created_at = created_at - interval '20 minutes', reported_at = reported_at - interval '10 minutes' where id = '{session}'")
        wait_until(lambda: "node.silent" in self.kinds(self.cluster_id), "node.silent")  # 20 s after a start
        self.assertEqual(self.state(session), "detached")
        self.assertEqual(self.owner.get(f"/v1/nodes/{self.n.id}")["presence"], "offline")
        self.beat([{"session_id": session, "state": "detached", "detail": "", "viewers": 0}])
        wait_until(lambda: "node.healthy" in self.kinds(self.cluster_id), "node.healthy")
        self.assertEqual(self.state(session), "detached")

        # The server has listened for long enough to say so again; but not when it was itself that stood still.
        def stood_still():
            os.kill(self.plane.process.pid, signal.SIGSTOP)
            self.long_ago()
            time.sleep(7)  # from 6 s on a pause counts
            began = time.monotonic()
            os.kill(self.plane.process.pid, signal.SIGCONT)
            return began
        self.assertEqual(self.told_silent_after(stood_still), 0)


if __name__ == "__main__":
    unittest.main()
