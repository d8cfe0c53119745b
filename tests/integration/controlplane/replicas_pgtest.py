"""Two equal servers on one PostgreSQL and one Redis: whatever one did, the other knows."""

import time
import unittest

from tests.integration.controlplane.harness import Aside, PlaneTest, Replica, wait_until

CERTIFICATE = "ab" * 32
WAKE_S = 8  # a wake takes milliseconds; the poll that was not woken would take POLL_MS
POLL_MS = 20_000


class Replicas(PlaneTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.second = Replica(cls.plane)
        cls.addClassCleanup(cls.second.close)

    def on_second(self, api):
        """The same person, at the second server."""
        return self.second.api(api.token)

    def test_login_on_one_counts_on_the_other(self):
        person = self.plane.login()
        there = self.on_second(person)
        self.assertEqual(there.get("/v1/auth/whoami")["login"], "owner")
        there.post("/v1/auth/logout")
        self.refused(401, "unauthorized", person.get, "/v1/auth/whoami")

    def test_failed_logins_of_both_are_counted_together(self):
        self.person()
        login = f"p-{PlaneTest.serial}"
        for i in range(10):
            self.refused(401, "unauthorized", (self.plane, self.second)[i % 2].login, login, "wrong password")
        self.refused(429, "exhausted", self.plane.login, login)
        self.refused(429, "exhausted", self.second.login, login)

    def test_terminate_on_one_wakes_a_long_poll_on_the_other(self):
        cluster, organization = self.cluster(), self.organization()
        node = self.node(cluster)
        assignment = self.owner.post(f"/v1/clusters/{cluster}/role-assignments", {
            "node_id": node.id, "role": "ssh-worker", "organization_id": organization})["id"]
        workloads = [{"assignment_id": assignment, "role": "ssh-worker", "state": "running", "detail": "", "version": "1"}]
        node.beat(self.second, workloads=workloads)
        self.owner.post(f"/v1/organizations/{organization}/resources", {
            "name": "demo", "protocol": "ssh", "cluster_id": cluster, "target": {"host": "h", "port": 22}, "options": {}})
        member = self.person(organization)
        wait_until(lambda: self.owner.get(f"/v1/nodes/{node.id}")["workloads"], "workload reported to the other server")
        session = self.on_second(member).post("/v1/sessions", {
            "resource": "demo", "client_certificate_sha256": CERTIFICATE, "mode": "control"})["session"]["id"]
        node.beat(self.second, workloads=workloads,
                  sessions=[{"session_id": session, "state": "active", "detail": "", "viewers": 0}])
        wait_until(lambda: member.get(f"/v1/sessions/{session}")["state"] == "active", "active at the other server")

        seen = node.api(self.second).get("/v1/node/desired")["seq"]
        poll = Aside(node.api(self.second).get, f"/v1/node/desired?seen={seen}&wait_ms={POLL_MS}")
        time.sleep(0.5)
        self.assertTrue(poll.is_alive())
        member.post(f"/v1/sessions/{session}/terminate")
        self.assertLess(poll.awake_until_done(), WAKE_S)
        desired = poll.result()
        self.assertEqual([s["session_id"] for s in desired["close_sessions"]], [session])

    def test_heartbeats_to_one_are_seen_by_the_other(self):
        node = self.node(self.cluster())
        self.assertEqual(self.on_second(self.owner).get(f"/v1/nodes/{node.id}")["presence"], "offline")
        node.beat(load={"cpu": 7, "memory_used_kb": 1, "memory_total_kb": 2})
        shown = lambda: self.on_second(self.owner).get(f"/v1/nodes/{node.id}")
        wait_until(lambda: shown()["presence"] == "online", "online")
        self.assertEqual(shown()["heartbeat"]["load"]["cpu"], 7)

    def test_a_capability_told_to_one_is_not_lost_to_what_the_other_remembers(self):
        node = self.node(self.cluster())
        can = lambda: {c["name"] for c in self.owner.get(f"/v1/nodes/{node.id}")["capabilities"]}
        for plane, names in ((self.plane, {"can_a"}), (self.second, {"can_b"}), (self.plane, {"can_a"})):
            node.beat(plane, capabilities=[{"name": name, "detail": {}} for name in names])
            wait_until(lambda: can() == names, f"{names}, it is {can()}")

    def test_revocation_on_one_ends_polls_on_the_other(self):
        node = self.node(self.cluster())
        seen = node.api(self.second).get("/v1/node/desired")["seq"]
        poll = Aside(node.api(self.second).get, f"/v1/node/desired?seen={seen}&wait_ms={POLL_MS}")
        time.sleep(0.5)
        self.owner.post(f"/v1/nodes/{node.id}/revoke", {"reason": "lost"})
        self.assertLess(poll.awake_until_done(), WAKE_S, "the connection of a revoked node stays open on the other server")
        self.assertIsNotNone(poll.error)

    def test_one_idempotency_key_at_both_creates_one(self):
        for round_number in range(5):
            slug = self.slug("twice")
            body = {"name": slug, "slug": slug}
            key = f"key-{slug}"
            calls = [Aside(self.owner.post, "/v1/organizations", body, key),
                     Aside(self.on_second(self.owner).post, "/v1/organizations", body, key)]
            made = [call.result() for call in calls]
            self.assertEqual(made[0], made[1], f"round {round_number}")
            self.assertEqual([o["slug"] for o in self.owner.items("/v1/organizations")].count(slug), 1)
        self.refused(422, "conflict", self.on_second(self.owner).post, "/v1/organizations", {**body, "name": "other"}, key)

    def test_both_write_one_unbroken_audit_chain(self):
        clusters = [self.cluster() for _ in range(2)]
        calls = [Aside((self.owner, self.on_second(self.owner))[i % 2].post, f"/v1/clusters/{clusters[i // 2 % 2]}/join-tokens",
                       {"ttl_s": 600, "max_uses": 1, "scope": {"roles": []}}) for i in range(16)]
        for call in calls:
            call.result()
        for cluster in clusters:
            self.assertEqual(self.kinds(cluster).count("join_token.created"), 8)
            told = self.on_second(self.owner).get(f"/v1/clusters/{cluster}/audit-events/verify")
            self.assertTrue(told["valid"], told)


if __name__ == "__main__":
    unittest.main()
