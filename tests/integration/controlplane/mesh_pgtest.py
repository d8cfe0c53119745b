"""The mesh as nodes meet it: certificates, directories, reports."""

import time
import unittest

from tests.integration.controlplane.harness import PlaneTest
from tests.integration.controlplane.mesh_rig import MeshTest, facts, wait_until


class Certificates(MeshTest):
    def test_each_purpose_has_its_own_name_and_lasts_a_day(self):
        node = self.node(self.cluster_id)
        self.beat(node)
        self.until_capable(node)
        self.role(node, "entry-node", public_endpoints=["entry.example.org:443", "203.0.113.7:443"])
        self.role(node, "ssh-worker", self.organization_id)
        mesh, entry, service = self.key(), self.key(), self.key()
        answer = self.certificates(node, mesh_csr_pem=mesh.csr(), entry_csr_pem=entry.csr(), services=[
            {"organization_id": self.organization_id, "csr_pem": service.csr()}])
        self.assertEqual(answer["refused"], [])
        names = lambda pem: facts(pem).split("Subject Alternative Name:")[1].split("\n")[1].strip()
        usage = lambda pem: facts(pem).split("Extended Key Usage:")[1].split("\n")[1].strip()
        service_id = answer["services"][0]["service_id"]
        self.assertEqual(names(answer["mesh"]["certificate_pem"]), f"URI:spiffe://{self.cluster_id}/node/{node.id}/mesh")
        self.assertEqual(usage(answer["mesh"]["certificate_pem"]),
                         "TLS Web Server Authentication, TLS Web Client Authentication")
        self.assertEqual(names(answer["entry"]["certificate_pem"]),
                         f"URI:spiffe://{self.cluster_id}/entry, DNS:entry.example.org, IP Address:203.0.113.7")
        self.assertEqual(usage(answer["entry"]["certificate_pem"]), "TLS Web Server Authentication")
        inner = answer["services"][0]["certificate_pem"]
        self.assertEqual(names(inner), f"URI:spiffe://{self.cluster_id}/service/{service_id}")
        for pem in (answer["entry"]["certificate_pem"], inner):
            self.assertNotIn(node.id, facts(pem))
            self.assertNotIn(node.name, facts(pem))
        self.assertIn("BEGIN CERTIFICATE", answer["cluster_ca_pem"])
        again = self.service(node, key=self.key())
        self.assertEqual(again["service_id"], service_id)  # made once
        self.assertEqual(self.kinds(self.cluster_id).count("mesh.certificate_issued"), 4)
        self.assertEqual(self.plane.admin_sql("select count(*) from mesh_keys where node_id = "
                                              f"'{node.id}' and not_after < now() + interval '24 hours' + interval '5 s'"), "4")
        # A certificate of the mesh does not speak to the control plane.
        node.key, node.certificate = mesh.path, mesh.path.with_suffix(".pem")
        node.certificate.write_text(answer["mesh"]["certificate_pem"])
        self.refused(401, "unauthorized", self.beat, node)

    def test_what_a_role_does_not_give_is_refused_and_the_rest_is_issued(self):
        node = self.mesh_node("relay-node")
        key = self.key()
        answer = self.certificates(node, mesh_csr_pem=key.csr(), entry_csr_pem=self.key().csr(), services=[
            {"organization_id": self.organization_id, "csr_pem": self.key().csr()}])
        self.assertIsNotNone(answer["mesh"])
        self.assertEqual((answer["entry"], answer["services"]), (None, []))
        self.assertEqual([(r["purpose"], r["organization_id"], r["code"]) for r in answer["refused"]],
                         [("entry", None, "forbidden"), ("service", self.organization_id, "forbidden")])
        self.assertIn("no role of this node", answer["refused"][1]["detail"])

    def test_a_role_for_everybody_serves_who_has_something_there(self):
        node = self.mesh_node("ssh-worker")
        ask = lambda: self.certificates(node, services=[{"organization_id": self.organization_id, "csr_pem": self.key().csr()}])
        self.assertEqual(len(ask()["refused"]), 1)
        self.owner.post(f"/v1/organizations/{self.organization_id}/resources", {
            "name": "r", "protocol": "ssh", "cluster_id": self.cluster_id, "target": {"host": "h", "port": 22}, "options": {}})
        self.assertEqual(ask()["refused"], [])

    def test_every_purpose_needs_a_key_of_its_own(self):
        node, other = self.mesh_node("ssh-worker", organization=self.organization_id), self.mesh_node()
        of = lambda n, key: self.certificates(n, mesh_csr_pem=key.csr())["refused"]
        self.assertEqual(of(node, node.keys["mesh"]), [])  # again
        class Own:
            csr = node.csr
        self.assertEqual(of(node, Own)[0]["code"], "conflict")
        self.assertEqual(of(other, node.keys["mesh"])[0]["code"], "conflict")
        answer = self.certificates(node, services=[{"organization_id": self.organization_id,
                                                    "csr_pem": node.keys["mesh"].csr()}])
        self.assertEqual(answer["refused"][0]["code"], "conflict")

    def test_bad_requests(self):
        node = self.mesh_node()
        ask = lambda **body: self.certificates(node, **body)
        self.refused(400, "invalid", ask)
        self.assertEqual(ask(mesh_csr_pem="nonsense")["refused"][0]["code"], "malformed")
        for services in ([{"organization_id": "x", "csr_pem": "y"}], [{"organization_id": self.organization_id}],
                         [{"organization_id": self.organization_id, "csr_pem": "y", "hosts": ["evil"]}],
                         [{"organization_id": self.organization_id, "csr_pem": "y"}] * 2,
                         [{"organization_id": self.organization_id, "csr_pem": "y"}] * 65):
            self.refused(400, "invalid", ask, services=services)
        self.refused(400, "invalid", self.role, node, "entry-node", public_endpoints=["a,URI:spiffe://x:443"])
        self.plane.admin_sql(f"update mesh_nodes set issued_count = 300, issued_since = now() where node_id = '{node.id}'")
        self.refused(429, "exhausted", ask, mesh_csr_pem=self.key().csr())
        self.plane.admin_sql(f"update mesh_nodes set issued_count = 0 where node_id = '{node.id}'")
        self.owner.post(f"/v1/nodes/{node.id}/disable", {})
        self.refused(403, "forbidden", ask, mesh_csr_pem=self.key().csr())
        self.plane.admin_sql("update authority set state = 'isolated'")
        self.addCleanup(self.plane.admin_sql, "update authority set state = 'healthy'")
        self.refused(503, "unavailable", ask, mesh_csr_pem=self.key().csr())

    def test_keys_of_organizations_are_seen_in_their_scope_only(self):
        node = self.mesh_node("ssh-worker", organization=self.organization_id)
        self.service(node)
        count = lambda scope: self.plane.app_sql(
            f"begin; select set_config('rap.organization_id', '{scope}', true); select count(*) from mesh_keys "
            f"where node_id = '{node.id}'; select count(*) from mesh_services where node_id = '{node.id}'; commit")[1].split("\n")[-2:]
        self.assertEqual(count("*"), ["2", "1"])
        self.assertEqual(count(self.organization_id), ["1", "1"])
        self.assertEqual(count(self.organization()), ["0", "0"])


class Directories(MeshTest):
    def test_nodes_learn_of_each_other_and_of_who_left(self):
        relay = self.mesh_node("relay-node", endpoints=["10.0.0.9:7443"])
        entry = self.mesh_node("entry-node")
        worker = self.mesh_node("ssh-worker", organization=self.organization_id, endpoints=[], attached=[relay.id])
        service = self.service(worker)
        everybody = {relay.id, entry.id, worker.id}
        for node in (relay, entry, worker):
            self.until_knows(node, lambda known: set(known) == everybody, "all three")
        known = self.until_knows(entry, lambda k: k[worker.id].get("attached") and k, "the attachment")
        self.assertEqual(known[worker.id]["attached"], [relay.id])
        self.assertEqual((known[worker.id]["owner"], known[worker.id]["serves"]),
                         (self.organization_id, [self.organization_id]))
        self.assertEqual(known[worker.id]["roles"], ["core-mesh", "service"])
        self.assertEqual(known[relay.id]["keys"], [relay.keys["mesh"].spki()])
        self.assertEqual(known[relay.id]["endpoints"], ["10.0.0.9:7443"])
        directory = wait_until(lambda: (d := self.directory(entry))["services"] and d, "the service")
        self.assertEqual(directory["services"], [{"name": service["service_id"], "members": [worker.id],
                                                  "organizations": [self.organization_id]}])
        self.assertEqual(self.directory(relay)["services"], [])

        self.owner.post(f"/v1/nodes/{relay.id}/disable", {})
        self.until_knows(entry, lambda k: relay.id not in k, "the disabled node is gone")
        self.assertEqual(self.known(entry)[worker.id].get("attached"), None)
        wait_until(lambda: self.directory(relay) is None, "no directory for a disabled node")
        self.owner.post(f"/v1/nodes/{relay.id}/enable", {})
        self.until_knows(entry, lambda k: relay.id in k, "it is back")
        self.owner.post(f"/v1/nodes/{relay.id}/revoke", {"reason": "test"})
        self.until_knows(worker, lambda k: relay.id not in k, "the revoked node is gone")

    def test_without_a_certificate_in_force_there_is_no_place(self):
        relay, late = self.mesh_node("relay-node"), self.node(self.cluster_id)
        self.until_knows(relay, lambda k: set(k) == {relay.id}, "itself")
        self.assertIsNone(self.directory(late))
        other = self.mesh_node()
        self.until_knows(relay, lambda k: other.id in k, "the other")
        self.plane.admin_sql(f"update mesh_keys set not_after = now() - interval '1 s' where node_id = '{other.id}'")
        self.look_again()
        self.until_knows(relay, lambda k: other.id not in k, "gone with its certificate")

    def test_the_next_key_is_told_before_it_is_used_and_a_third_ends_the_first(self):
        relay, node = self.mesh_node("relay-node"), self.mesh_node()
        first, second, third = node.keys["mesh"], self.key(), self.key()
        renew = lambda key: self.certificates(node, mesh_csr_pem=key.csr())
        until = lambda *keys: self.until_knows(
            relay, lambda k: sorted(k.get(node.id, {"keys": []})["keys"]) == sorted(key.spki() for key in keys), "the keys")
        until(first)
        renew(second)
        until(first, second)
        before = self.directory(relay)["version"]
        renew(second)  # the same key: nothing to tell
        time.sleep(3)
        self.assertEqual(self.directory(relay)["version"], before)
        renew(third)
        until(second, third)

    def test_only_who_sees_a_change_is_woken(self):
        relay, entry = self.mesh_node("relay-node"), self.mesh_node("entry-node")
        plain = self.mesh_node(endpoints=[])
        for node in (relay, entry, plain):
            self.until_knows(node, lambda k: set(k) == {relay.id, entry.id, plain.id}, "all three")
        self.until_told()
        seq = lambda node: node.api().get("/v1/node/desired")["seq"]
        before = {node.id: seq(node) for node in (relay, entry, plain)}
        self.report(relay, endpoints=["10.0.0.1:7443"], load_permille=700)
        self.until_knows(entry, lambda k: k[relay.id].get("load_permille") == 700, "the load")  # 15 s and a round
        self.assertEqual(seq(plain), before[plain.id])
        self.assertGreater(seq(entry), before[entry.id])
        # A load that moved a little is not told.
        seen = seq(entry)
        self.report(relay, endpoints=["10.0.0.1:7443"], load_permille=600)
        self.look_again()
        self.until_told()
        self.assertEqual(seq(entry), seen)

    def test_a_role_changes_what_others_are_told(self):
        relay, node = self.mesh_node("relay-node"), self.mesh_node()
        self.until_knows(relay, lambda k: k.get(node.id, {}).get("roles") == ["core-mesh"], "no role")
        role = self.role(node, "ssh-worker", self.organization_id)
        self.until_knows(relay, lambda k: k[node.id]["roles"] == ["core-mesh", "service"], "a role")
        self.owner.delete(f"/v1/role-assignments/{role}")
        self.until_knows(relay, lambda k: k[node.id]["roles"] == ["core-mesh"] and "owner" not in k[node.id], "none again")


class Fleet(MeshTest):
    """A thousand nodes, of which one changes."""

    def add(self, kind, count, role=None):
        """Nodes as enrollment leaves them, with a mesh certificate; without their keys."""
        prefix = f"nod_{kind}"
        self.plane.admin_sql(f"""
            create temp table n as select '{prefix}' || lpad(i::text, {30 - len(prefix)}, '0') as id from generate_series(1, {count}) i;
            insert into nodes (id, name) select id, id from n;
            insert into cluster_memberships (cluster_id, node_id, membership_status) select '{self.cluster_id}', id, 'active' from n;
            insert into mesh_nodes (node_id, cluster_id) select id, '{self.cluster_id}' from n;
            insert into mesh_keys (spki_sha256, cluster_id, node_id, purpose, certificate_serial, not_before, not_after, issued_at)
                select sha256(id::bytea), '{self.cluster_id}', id, 'mesh', id, now(), now() + interval '1 day', now() from n;
            insert into node_role_assignments (id, cluster_id, node_id, role, authority_term, assigned_by_user_id)
                select replace(id, 'nod_', 'rol_'), '{self.cluster_id}', id, '{role}', 1, (select id from users limit 1)
                from n where '{role or ""}' <> '';""")

    def test_only_those_who_see_it_are_woken(self):
        tag = self.cluster_id[-5:]
        self.add(f"r{tag}", 50, "relay-node")
        self.add(f"e{tag}", 5, "entry-node")
        self.add(f"p{tag}", 945)
        self.plane.admin_sql(f"insert into mesh_clusters (cluster_id) values ('{self.cluster_id}') on conflict (cluster_id) "
                             "do update set due_at = now()")
        self.until_told()
        told = f"select count(*) from mesh_directories where cluster_id = '{self.cluster_id}'"
        self.assertEqual(self.plane.admin_sql(told), "1000")
        woken = ("select count(*) from nodes where desired_seq > 2 and id in (select node_id from mesh_directories "
                 f"where cluster_id = '{self.cluster_id}')")
        self.assertEqual(self.plane.admin_sql(woken), "0")
        change = lambda: self.plane.admin_sql(
            "update mesh_nodes set avoid = avoid + 1 where node_id = (select min(node_id) from mesh_nodes where node_id like "
            f"'nod_p{tag}%'); update mesh_clusters set due_at = now() where cluster_id = '{self.cluster_id}'")
        change()
        self.until_told()
        count = int(self.plane.admin_sql(woken))
        self.assertGreaterEqual(count, 56)      # relays, entries, itself
        self.assertLessEqual(count, 56 + 16)    # and its neighbours
        node = self.mesh_node()
        self.until_knows(node, lambda k: len(k) >= 48, "its part")
        self.assertLessEqual(len(self.known(node)), 1 + 48 + 16)


class Reports(MeshTest):
    def setUp(self):
        super().setUp()
        self.a, self.b = self.mesh_node("relay-node"), self.mesh_node()

    def stored(self, what):
        return self.plane.admin_sql(f"select {what} from mesh_reports where node_id = '{self.a.id}'")

    def events(self):
        return self.plane.admin_sql("select peer_id || ' ' || state from mesh_link_events "
                                    f"where node_id = '{self.a.id}' order by id").split()[1::2]

    def test_duplicated_and_reordered_reports_change_nothing(self):
        say = lambda seq, state, boot="b1": self.report(self.a, boot=boot, seq=seq, links=[self.link(self.b, state)])["taken"]
        self.assertTrue(say(10, "up"))
        self.assertFalse(say(10, "down"))   # twice
        self.assertFalse(say(9, "down"))    # late
        self.assertEqual(self.events(), ["up"])
        self.assertTrue(say(1, "down", "b2"))  # the process started anew
        self.assertFalse(say(99, "up", "b1"))  # of the boot before
        self.assertTrue(say(2, "up", "b2"))
        self.assertEqual(self.events(), ["up", "down", "up"])
        self.assertTrue(self.report(self.a, boot="b2", seq=3)["taken"])  # the peer is not mentioned any more
        self.assertEqual(self.events(), ["up", "down", "up", "down"])

    def test_a_node_speaks_of_its_own_links_with_nodes_of_its_cluster(self):
        here, self.cluster_id = self.cluster_id, self.cluster()
        foreign = self.mesh_node()
        self.cluster_id = here
        answer = self.report(self.a, attached=[foreign.id], links=[self.link(foreign), self.link(self.b)])
        self.assertEqual((answer["taken"], answer["ignored"]), (True, 2))
        self.assertEqual(self.stored("jsonb_array_length(links)"), "1")
        self.assertEqual(self.stored("attached::text"), "[]")
        self.refused(400, "invalid", self.report, self.a, links=[self.link(self.a)])
        self.refused(400, "invalid", self.report, self.a, links=[{**self.link(self.b), "reporter": self.b.id}])
        self.refused(400, "invalid", self.report, self.a, endpoints=["no port"])
        self.refused(400, "invalid", self.report, self.a, links=[self.link(self.b)] * 513)

    def test_a_flapping_link_does_not_fill_the_table(self):
        self.plane.admin_sql("insert into mesh_link_events (id, cluster_id, node_id, peer_id, state, since, received_at) "
                             f"select gen_random_uuid(), '{self.cluster_id}', '{self.a.id}', '{self.b.id}', 'up', now(), now() "
                             "from generate_series(1, 600)")
        answer = self.report(self.a, links=[self.link(self.b, rtt_us=77)])
        self.assertEqual((answer["taken"], answer["ignored"]), (True, 1))
        self.assertEqual(len(self.events()), 600)
        self.assertEqual(self.stored("links -> 0 ->> 'rtt_us'"), "77")  # the latest state is kept

    def test_old_events_go(self):
        self.report(self.a, links=[self.link(self.b)])
        self.plane.admin_sql("update mesh_link_events set received_at = now() - interval '8 days'")
        wait_until(lambda: self.events() == [], "gone")


if __name__ == "__main__":
    unittest.main()
