"""Joining a cluster: every way it may go wrong, and the way it goes right."""

import time
import unittest

from tests.integration.controlplane.harness import Aside, Node, PlaneTest, wait_until


class Enrollment(PlaneTest):
    def test_pending_then_approved_is_idempotent_per_key(self):
        cluster = self.cluster()
        token = self.token(cluster, max_uses=1)["token"]
        node = Node(self.plane, "n1")
        first = node.ask(token)
        self.assertEqual(first["status"], "pending")
        self.assertEqual(node.ask(token), first)
        self.owner.post(f"/v1/join-requests/{first['join_request_id']}/approve", {})
        answer = node.ask(token)
        self.assertEqual(answer["status"], "approved")
        self.assertEqual(node.ask(token)["certificate_pem"], answer["certificate_pem"])
        self.assertIn("signatures", answer["director_root"])
        node.take(answer)
        self.assertEqual(node.beat()["interval_ms"], 5000)
        shown = wait_until(lambda: (n := self.owner.get(f"/v1/nodes/{node.id}"))["presence"] == "online" and n, "online")
        self.assertEqual([c["name"] for c in shown["capabilities"]], ["can_run_ssh_worker"])
        self.refused(409, "conflict", self.owner.post, f"/v1/join-requests/{first['join_request_id']}/approve", {})

    def test_each_bad_token_is_its_own_error(self):
        cluster = self.cluster()
        ask = lambda token, **c: Node(self.plane, self.slug("n")).ask(token, **c)
        good = self.token(cluster)
        head, identity, secret, pin = good["token"].split(".")
        self.refused(400, "malformed", ask, "rapjoin1.x")
        self.refused(400, "malformed", ask, good["token"][:-1])
        self.refused(401, "unauthorized", ask, ".".join([head, identity, secret[::-1][:42] + "A", pin]))
        self.refused(401, "unauthorized", ask, ".".join([head, identity[:-1] + ("0" if identity[-1] != "0" else "1"), secret, pin]))
        self.refused(403, "mismatch", ask, ".".join([head, identity, secret, "A" * 43]))
        self.owner.post(f"/v1/join-tokens/{good['id']}/revoke")
        self.refused(403, "forbidden", ask, good["token"])
        short = self.token(cluster, ttl_s=1)
        time.sleep(1.1)
        self.refused(403, "expired", ask, short["token"])
        once = self.token(cluster, max_uses=1)
        ask(once["token"])
        self.refused(403, "exhausted", ask, once["token"])
        scoped = self.token(cluster, scope={"roles": ["ssh-worker"]})
        self.refused(403, "forbidden", ask, scoped["token"], requested_roles=["entry-node"])
        self.assertGreaterEqual(self.kinds(cluster).count("enrollment.refused"), 4)

    def test_csr_must_prove_its_key(self):
        token = self.token(self.cluster())["token"]
        node = Node(self.plane, "n")
        self.refused(400, "malformed", node.ask, token, csr_pem="nonsense")

    def test_second_node_with_the_same_key(self):
        cluster = self.cluster()
        token = self.token(cluster)["token"]
        node = Node(self.plane, "first")
        node.ask(token)
        self.refused(409, "conflict", Node(self.plane, "second", node.key).ask, token)
        self.refused(409, "conflict", node.ask, self.token(self.cluster())["token"])

    def test_a_copied_identity_in_use_on_two_machines_is_noticed(self):
        node = self.node(self.cluster())

        def conflicts():
            return self.plane.metrics()["rap_node_identity_conflicts"]
        before = conflicts()
        for boot in ("one", "one", "two"):  # a restart of the machine
            node.beat(boot_id=boot)
        self.assertEqual(conflicts(), before)
        node.beat(boot_id="one")
        self.assertEqual(conflicts(), before + 1)
        self.assertIn("two machines use the identity of one node", (self.plane.folder / "log").read_text())

    def test_rejected_is_told_why_and_may_ask_with_another_token(self):
        cluster = self.cluster()
        node = Node(self.plane, self.slug("n"))
        token = self.token(cluster)["token"]
        request = node.ask(token)["join_request_id"]
        self.owner.post(f"/v1/join-requests/{request}/reject", {"reason": "unknown machine"})
        problem = self.refused(403, "forbidden", node.ask, token)
        self.assertIn("unknown machine", problem["detail"])
        self.assertEqual(node.ask(self.token(cluster)["token"])["status"], "pending")

    def let_certificates_end(self, node):
        self.plane.admin_sql("update node_identities set certificate_not_after = now() - interval '1 s'"
                             f" where node_id = '{node.id}'")

    def test_a_node_whose_certificate_ended_renews_with_its_key(self):
        """Neither the key alone nor the token that was used once brings it back; a new token and an owner do."""
        cluster = self.cluster()
        once = self.token(cluster, max_uses=1)["token"]
        node = Node(self.plane, self.slug("n"))
        first = node.ask(once)
        self.owner.post(f"/v1/join-requests/{first['join_request_id']}/approve", {})
        node.take(node.ask(once))
        self.refused(409, "conflict", node.ask, self.token(cluster)["token"])  # its certificate is in force
        self.let_certificates_end(node)
        self.assertIn("rap-node-agent enroll", self.refused(401, "expired", node.beat)["detail"])
        self.refused(403, "exhausted", node.ask, once)
        self.refused(409, "conflict", node.ask, self.token(self.cluster())["token"])

        rejected = self.token(cluster)["token"]
        request = node.ask(rejected)["join_request_id"]
        self.owner.post(f"/v1/join-requests/{request}/reject", {"reason": "who is that"})
        self.assertIn("who is that", self.refused(403, "forbidden", node.ask, rejected)["detail"])

        token = self.token(cluster)["token"]
        again = node.ask(token)
        self.assertEqual(again["status"], "pending")
        self.assertEqual(node.ask(token), again)
        shown = self.owner.get(f"/v1/join-requests/{again['join_request_id']}")
        self.assertEqual((shown["renews_node_id"], shown["status"]), (node.id, "pending"))
        approve = lambda body: self.owner.post(f"/v1/join-requests/{again['join_request_id']}/approve", body)
        self.refused(400, "invalid", approve, {"node_name": "another"})
        self.assertEqual(approve({})["node_id"], node.id)
        answer = node.ask(token)
        self.assertEqual((answer["status"], answer["node_id"]), ("approved", node.id))
        self.assertEqual(node.ask(token)["certificate_pem"], answer["certificate_pem"])
        node.take(answer).beat()
        self.assertEqual([n["id"] for n in self.owner.items(f"/v1/nodes?cluster_id={cluster}")], [node.id])

    def test_a_disabled_node_stays_so_and_a_revoked_one_does_not_renew(self):
        cluster = self.cluster()
        node = self.node(cluster)
        self.owner.post(f"/v1/nodes/{node.id}/disable", {})
        self.let_certificates_end(node)
        token = self.token(cluster)["token"]
        request = node.ask(token)["join_request_id"]
        self.owner.post(f"/v1/join-requests/{request}/approve", {})
        node.take(node.ask(token))
        self.assertEqual(self.owner.get(f"/v1/nodes/{node.id}")["status"], "disabled")
        self.let_certificates_end(node)
        request = node.ask(self.token(cluster)["token"])["join_request_id"]
        self.owner.post(f"/v1/nodes/{node.id}/revoke", {"reason": "stolen"})
        self.refused(409, "conflict", self.owner.post, f"/v1/join-requests/{request}/approve", {})
        self.refused(403, "forbidden", node.ask, self.token(cluster)["token"])

    def test_a_name_that_no_agent_reads_is_refused(self):
        node = Node(self.plane, self.slug("n"))
        token = self.token(self.cluster())["token"]
        self.refused(400, "invalid", node.ask, token, node_name="n" * 65)
        request = node.ask(token, node_name="n" * 64)["join_request_id"]
        self.refused(400, "invalid", self.owner.post, f"/v1/join-requests/{request}/approve", {"node_name": "m" * 65})
        self.refused(400, "invalid", self.owner.post, f"/v1/join-requests/{request}/approve", {"node_name": "bad name!"})

    def test_rotation_and_revocation(self):
        cluster = self.cluster()
        node = self.node(cluster)
        old = node.api()
        answer = old.post("/v1/node/certificate", {"csr_pem": node.csr()})
        node.certificate.write_text(answer["certificate_pem"])
        node.beat()
        other = self.node(cluster)
        self.refused(409, "conflict", other.api().post, "/v1/node/certificate", {"csr_pem": node.csr()})
        self.owner.post(f"/v1/nodes/{node.id}/revoke", {"reason": "stolen"})
        try:
            problem = self.refused(403, "forbidden", node.beat)
        except ConnectionError:  # revoking cuts what is open, a request under way included
            problem = self.refused(403, "forbidden", node.beat)
        self.assertIn("stolen", problem["detail"])
        self.assertEqual(self.owner.get(f"/v1/nodes/{node.id}")["presence"], "offline")  # it did beat a moment ago
        self.refused(403, "forbidden", old.post, "/v1/node/certificate", {"csr_pem": node.csr()})
        self.refused(409, "conflict", self.owner.post, f"/v1/nodes/{node.id}/enable")
        self.assertIn("node.certificate_rotated", self.kinds(cluster))

    def test_certificates_that_were_replaced_are_found_by_index_and_forgotten(self):
        cluster = self.cluster()
        node = self.node(cluster)
        for _ in range(3):
            node.certificate.write_text(
                node.api().post("/v1/node/certificate", {"csr_pem": node.csr()})["certificate_pem"])
        count = lambda: int(self.plane.admin_sql(f"select count(*) from node_identities where node_id = '{node.id}'"))
        self.assertEqual(count(), 4)
        self.plane.admin_sql("update node_identities set certificate_not_after = now() - interval '8 days' where "
                             f"node_id = '{node.id}' and identity_status = 'superseded'")
        wait_until(lambda: count() == 1, "only the certificate in force")
        node.beat()
        for index, query in (
                ("node_identities_by_node", "select max(certificate_not_after) from node_identities "
                                            f"where cluster_id = '{cluster}' and node_id = '{node.id}'"),
                ("node_join_requests_by_fingerprint", "select id from node_join_requests where node_fingerprint = "
                                                      "'\\x00' order by created_at desc limit 1")):
            self.assertIn(index, self.plane.admin_sql(f"set enable_seqscan = off; explain {query}"))

    def test_revocation_closes_an_open_long_poll(self):
        node = self.node(self.cluster())
        seen = node.api().get("/v1/node/desired")["seq"]
        poll = Aside(node.api().get, f"/v1/node/desired?seen={seen}&wait_ms=25000")
        time.sleep(0.5)
        self.owner.post(f"/v1/nodes/{node.id}/revoke", {"reason": "gone"})
        self.assertLess(poll.awake_until_done(), 10)
        self.assertIsNotNone(poll.error)
        self.refused(403, "forbidden", node.beat)

    def test_roles_are_refused_with_the_reason(self):
        cluster, organization = self.cluster(), self.organization()
        node = self.node(cluster)
        assign = lambda c=cluster, **b: self.owner.post(f"/v1/clusters/{c}/role-assignments",
                                                       {"node_id": node.id, "role": "ssh-worker", **b})
        self.assertIn("can_run_rdp_worker", self.refused(422, "unsupported", assign, role="rdp-worker")["detail"])
        self.refused(400, "invalid", assign, role="made-up")
        self.refused(404, "not_found", assign, self.cluster())
        self.refused(403, "forbidden", assign, organization_id="org_" + "0" * 26)
        made = assign(organization_id=organization)
        self.refused(409, "conflict", assign, organization_id=organization)
        roles = node.api()
        roles.get("/tuf/director/metadata/timestamp.json")
        self.owner.delete(f"/v1/role-assignments/{made['id']}")
        self.owner.post(f"/v1/nodes/{node.id}/disable", {})
        self.refused(409, "conflict", assign)
        self.assertTrue({"role.assigned", "role.removed", "node.disabled"} <= set(self.kinds(cluster)))

    def test_director_tells_each_node_its_own(self):
        cluster, organization = self.cluster(), self.organization()
        one, two = self.node(cluster), self.node(cluster)
        import json
        read = lambda n: {p: json.loads(n.api().raw("GET", f"/tuf/director/targets/snap/{p}.json")[2])
                          for p in ("membership", "roles", "access")}
        for n in (one, two):
            n.version = n.api().get("/v1/node/desired")["director_version"]
        seen = one.api().get("/v1/node/desired")["seq"]
        made = self.owner.post(f"/v1/clusters/{cluster}/role-assignments",
                               {"node_id": one.id, "role": "ssh-worker", "organization_id": organization})
        self.owner.post(f"/v1/organizations/{organization}/resources", {
            "name": "r", "protocol": "ssh", "cluster_id": cluster, "target": {"host": "h", "port": 22}, "options": {}})
        now = one.api().get(f"/v1/node/desired?seen={seen}&wait_ms=5000")
        self.assertGreater(now["seq"], seen)
        self.assertGreater(now["director_version"], one.version)
        self.assertEqual(two.api().get("/v1/node/desired")["director_version"], two.version)
        told = read(one)
        self.assertEqual(told["roles"]["assignments"][0]["assignment_id"], made["id"])
        self.assertIsNone(told["roles"]["assignments"][0]["product"])
        self.assertEqual(told["access"]["resources"][0]["name"], "r")
        self.assertEqual(read(two)["access"]["resources"], [])
        self.assertEqual(told["membership"]["node_id"], one.id)

    def test_node_reports_of_itself_are_audited_once(self):
        node, other = self.node(self.cluster()), self.node(self.cluster())
        event = lambda i, kind="artifact_refused", subject="ssh 1.2", **more: {
            "event_id": f"nev_{i}", "kind": kind, "subject": subject, "detail": "sha256 is another one",
            "at": "2026-01-01T00:00:00Z", **more}
        send = lambda *events, by=node: by.api().post("/v1/node/events", {"events": list(events)})
        self.assertEqual(send(event(1)), {"accepted": 1, "ignored": 0})
        self.assertEqual(send(event(1)), {"accepted": 0, "ignored": 1})
        self.assertEqual(send(event(2), event(3)), {"accepted": 0, "ignored": 2})
        self.assertEqual(send(event(4, subject="ssh 1.3"), event(5, "clock_wrong", "clock"))["accepted"], 2)
        self.assertEqual(send(event(1), by=other)["accepted"], 1)  # another node's id is its own
        self.plane.admin_sql("update node_events set received_at = received_at - interval '11 minutes'")
        self.assertEqual(send(event(6))["accepted"], 1)
        chain = self.owner.items(f"/v1/clusters/{node.cluster}/audit-events")
        told = [e for e in chain if e["kind"] == "node.artifact_refused"]
        self.assertEqual([e["subject"] for e in told], ["ssh 1.2", "ssh 1.3", "ssh 1.2"])
        self.assertEqual((told[0]["actor"]["kind"], told[0]["actor"]["id"]), ("node", node.id))
        self.assertEqual(told[0]["detail"], {"event_id": "nev_1", "detail": "sha256 is another one",
                                             "at": "2026-01-01T00:00:00Z"})
        self.assertTrue(self.owner.get(f"/v1/clusters/{node.cluster}/audit-events/verify")["valid"])
        flood = send(*(event(f"f{i}", subject=f"made-up-{i}") for i in range(100)))
        self.assertLess(flood["accepted"], 60)

    def test_node_reports_that_break_the_contract_change_nothing(self):
        node = self.node(self.cluster())
        good = {"event_id": "nev_x", "kind": "clock_wrong", "subject": "clock", "detail": "", "at": "2026-01-01T00:00:00Z"}
        for bad in ({"event_id": ""}, {"event_id": "a b"}, {"event_id": "x" * 101}, {"event_id": 1}, {"kind": "made_up"},
                    {"kind": None}, {"subject": ""}, {"subject": "x" * 201}, {"subject": "a\nb"}, {"detail": "x" * 1001},
                    {"detail": "\x1b[2J"}, {"detail": None}, {"at": "yesterday"}, {"at": None}):
            self.refused(400, "invalid", node.api().post, "/v1/node/events", {"events": [good, {**good, **bad}]})
        self.refused(400, "invalid", node.api().post, "/v1/node/events", {"events": [good] * 101})
        self.refused(401, "unauthorized", self.owner.post, "/v1/node/events", {"events": [good]})
        self.assertNotIn("node.clock_wrong", self.kinds(node.cluster))


if __name__ == "__main__":
    unittest.main()
