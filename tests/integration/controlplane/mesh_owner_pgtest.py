"""The mesh as its owner sees and steers it, and what organizations get of it."""

import base64
import json
import subprocess
import unittest

from tests.integration.controlplane.harness import BINARIES, ApiError
from tests.integration.controlplane.mesh_rig import MeshTest, wait_until

CERTIFICATE = "ab" * 32


def part(token, index):
    text = token.split(".")[index]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


class Owner(MeshTest):
    def change(self, path, body, etag=None):
        """PUT with the ETag that a GET gives."""
        status, headers, _ = self.owner.raw("GET", path)
        send = {"If-Match": etag or headers["etag"]} if status == 200 else None
        status, _, data = self.owner.raw("PUT", path, body, send)
        if status >= 400:
            raise ApiError("PUT", path, status, json.loads(data))
        return json.loads(data)


class Policy(Owner):
    def setUp(self):
        super().setUp()
        self.path = f"/v1/clusters/{self.cluster_id}/mesh-policy"

    def test_what_is_set_reaches_nodes_and_the_rest_has_defaults(self):
        node = self.mesh_node("relay-node")
        before = self.owner.get(self.path)
        self.assertEqual((before["set"], before["policy"]["relays_max"]), ({}, 2))
        after = self.change(self.path, {"policy": {"relays_max": 1, "interactive": {"latency": 150}}})
        self.assertEqual((after["policy"]["relays_max"], after["policy"]["interactive"]["latency"],
                          after["policy"]["interactive"]["loss"]), (1, 150, 400))
        told = wait_until(lambda: (d := self.directory(node)) and d["policy"]["relays_max"] == 1 and d, "the policy")
        self.assertEqual(told["policy"]["interactive"]["latency"], 150)
        self.assertIn("mesh.policy_changed", self.kinds(self.cluster_id))

    def test_a_policy_that_nodes_would_refuse_is_refused_here(self):
        for policy in ({"relays_max": 4}, {"relays": 1}, {"interactive": {"latency": 1.5}}, {"when_stale": "maybe"},
                       {"peers": {"normal": {"low": 9}}},
                       {"organizations": [{"organization_id": self.organization_id}]}):
            self.refused(400, "invalid", self.change, self.path, {"policy": policy})
        self.refused(412, "conflict", self.change, self.path, {"policy": {}}, '"99"')
        self.assertEqual(self.owner.raw("PUT", self.path, {"policy": {}})[0], 428)
        self.refused(403, "forbidden", self.person().get, self.path)

    def test_rules_of_an_organization_reach_the_nodes_that_serve_it(self):
        relay = self.mesh_node("relay-node")
        other = self.mesh_node("ssh-worker", organization=self.organization())
        path = f"/v1/clusters/{self.cluster_id}/mesh-organizations/{self.organization_id}"
        self.refused(404, "not_found", self.owner.get, path)
        made = self.change(path, {"regions": ["eu"], "own_relays_only": True, "streams_max": 500, "kbytes_per_s": 1000})
        self.assertEqual((made["regions"], made["relays_max"], made["streams_max"]), (["eu"], 3, 500))
        rules = lambda node: self.directory(node)["policy"]["organizations"]
        wait_until(lambda: [r["organization_id"] for r in rules(relay)] == [self.organization_id], "the rule")
        self.assertEqual(rules(relay)[0], {"organization_id": self.organization_id, "regions": ["eu"], "trust_min": "low",
                                           "relays_max": 3, "own_relays_only": True, "streams_max": 500, "kbytes_per_s": 1000})
        self.assertEqual(rules(other), [])
        self.assertEqual(self.owner.raw("PUT", path, {})[0], 428)
        self.refused(400, "invalid", self.change, path, {"regions": ["eu west"]})
        self.refused(400, "invalid", self.change, path, {"trust_min": "quarantined"})
        self.refused(400, "invalid", self.change, path, {"relays_max": 4})
        self.assertEqual(len(self.owner.items(f"/v1/clusters/{self.cluster_id}/mesh-organizations")), 1)
        self.owner.delete(path)
        self.refused(404, "not_found", self.owner.delete, path)
        wait_until(lambda: rules(relay) == [], "no rule")

    def test_intents_of_a_node_reach_the_others(self):
        relay, node = self.mesh_node("relay-node"), self.mesh_node()
        path = f"/v1/nodes/{node.id}/mesh"
        shown = wait_until(lambda: (s := self.owner.get(path))["told"] and s, "a place")
        self.assertEqual((shown["trust"], shown["avoid"], shown["told"]["roles"]), ("normal", 0, ["core-mesh"]))
        self.assertEqual([k["purpose"] for k in shown["keys"]], ["mesh"])
        self.owner.patch(path, {"avoid": 300, "trust": "low", "region": "eu-2", "draining": True, "bootstrap": True})
        known = self.until_knows(relay, lambda k: k.get(node.id, {}).get("avoid") == 300 and k, "the intent")[node.id]
        self.assertEqual((known["trust"], known["region"], known["draining"], known["bootstrap"]), ("low", "eu-2", True, True))
        self.owner.patch(path, {"region": None})
        self.until_knows(relay, lambda k: k[node.id]["region"] == "default", "the cluster's region")
        self.owner.patch(path, {"trust": "quarantined"})
        self.until_knows(relay, lambda k: node.id not in k, "gone")
        self.refused(400, "invalid", self.owner.patch, path, {"trust": "none"})
        self.refused(400, "invalid", self.owner.patch, path, {"avoid": 1001})
        self.assertEqual(self.kinds(self.cluster_id).count("mesh.node_changed"), 3)


class Pools(Owner):
    def test_organizations_see_a_name_and_a_state_only(self):
        exit_node, other = self.mesh_node("vpn-exit"), self.mesh_node("relay-node")
        path = f"/v1/clusters/{self.cluster_id}/egress-pools"
        pool = self.owner.post(path, {"name": "office", "members": [exit_node.id, other.id],
                                      "organizations": [self.organization_id]}, key=self.slug("k"))
        self.assertEqual({m["node_id"]: m["state"] for m in pool["members"]},
                         {exit_node.id: "usable", other.id: "no exit role"})
        told = wait_until(lambda: (d := self.directory(exit_node))["egress_pools"] and d["egress_pools"], "the pool")
        self.assertEqual(told, [{"name": "office", "members": sorted([exit_node.id, other.id]),
                                 "organizations": [self.organization_id]}])
        member, outsider = self.person(self.organization_id), self.person(self.organization())
        mine = f"/v1/organizations/{self.organization_id}/egress-pools"
        self.assertEqual(member.items(mine), [{"id": pool["id"], "name": "office", "state": "available"}])
        self.refused(404, "not_found", outsider.get, mine)
        self.refused(403, "forbidden", member.get, path)
        self.refused(403, "forbidden", member.get, f"/v1/egress-pools/{pool['id']}")
        self.owner.patch(f"/v1/egress-pools/{pool['id']}", {"members": [other.id]})
        self.assertEqual(member.items(mine)[0]["state"], "unavailable")
        self.owner.patch(f"/v1/egress-pools/{pool['id']}", {"organizations": []})
        self.assertEqual(member.items(mine), [])
        self.owner.patch(f"/v1/egress-pools/{pool['id']}", {"everybody": True})
        self.assertEqual(len(member.items(mine)), 1)
        self.refused(409, "conflict", self.owner.post, path, {"name": "office"})
        self.refused(400, "invalid", self.owner.post, path, {"name": "of fice"})
        self.refused(400, "invalid", self.owner.post, path, {"name": "x", "members": ["nod_x"]})
        self.refused(400, "invalid", self.owner.post, path, {"name": "x", "organizations": [self.cluster_id]})
        self.owner.delete(f"/v1/egress-pools/{pool['id']}")
        self.assertEqual(self.owner.items(path), [])
        kinds = self.kinds(self.cluster_id)
        self.assertEqual((kinds.count("mesh.pool_created"), kinds.count("mesh.pool_changed"), kinds.count("mesh.pool_removed")),
                         (1, 3, 1))


class Links(Owner):
    def setUp(self):
        super().setUp()
        self.entry = self.mesh_node("entry-node", endpoints=["10.0.0.1:7443"])
        self.relay = self.mesh_node("relay-node", endpoints=["10.0.0.2:7443"])
        self.worker = self.mesh_node("ssh-worker", organization=self.organization_id, endpoints=[], attached=[self.relay.id])
        self.service_id = self.service(self.worker)["service_id"]

    def links(self, query=""):
        return self.owner.items(f"/v1/clusters/{self.cluster_id}/mesh-links{query}")

    def routes(self, **query):
        text = "&".join(f"{k}={v}" for k, v in query.items())
        return self.owner.get(f"/v1/clusters/{self.cluster_id}/mesh-routes?{text}")

    def test_both_ends_are_shown_and_what_is_old_is_unknown(self):
        self.report(self.entry, endpoints=["10.0.0.1:7443"], links=[self.link(self.relay, rtt_us=1500, loss_permille=2)])
        self.report(self.relay, endpoints=["10.0.0.2:7443"], links=[self.link(self.entry, "down"), self.link(self.worker)])
        seen = {(l["node_id"], l["peer_id"]): l for l in self.links()}
        forth, back = seen[self.entry.id, self.relay.id], seen[self.relay.id, self.entry.id]
        self.assertEqual((forth["state"], forth["far_state"], back["state"], back["far_state"]), ("up", "down", "down", "up"))
        self.assertEqual((forth["rtt_us"], forth["loss_permille"], forth["kbps"], forth["node_name"]),
                         (1500, 2, None, self.entry.name))
        self.assertEqual(seen[self.relay.id, self.worker.id]["far_state"], "unknown")
        self.assertEqual(len(self.links(f"?node_id={self.worker.id}")), 1)
        page = self.owner.get(f"/v1/clusters/{self.cluster_id}/mesh-links?limit=1")
        self.assertEqual(len(page["items"]), 1)
        self.assertEqual(len(self.owner.get(
            f"/v1/clusters/{self.cluster_id}/mesh-links?cursor={page['next_cursor']}")["items"]), 2)
        self.plane.admin_sql(f"update mesh_reports set received_at = now() - interval '2 minutes' where node_id = '{self.entry.id}'")
        old = next(l for l in self.links() if l["node_id"] == self.entry.id)
        self.assertEqual(old["state"], "unknown")
        self.assertGreaterEqual(old["reported_age_s"], 119)
        events = self.owner.items(f"/v1/clusters/{self.cluster_id}/mesh-link-events")
        self.assertEqual([(e["node_id"], e["peer_id"], e["state"]) for e in events],
                         [(self.relay.id, self.worker.id, "up"), (self.entry.id, self.relay.id, "up")])

    def test_the_way_to_a_service_is_explained(self):
        self.report(self.entry, endpoints=["10.0.0.1:7443"], links=[self.link(self.relay, rtt_us=1500)])
        answer = self.routes(to=self.service_id)
        self.assertEqual((answer["kind"], answer["organization_id"]), ("service", self.organization_id))
        way = answer["routes"][0]
        self.assertEqual(way["from"], {"id": self.entry.id, "name": self.entry.name})
        self.assertEqual([n["id"] for n in way["paths"][0]["nodes"]], [self.entry.id, self.relay.id, self.worker.id])
        terms = {(t["term"], t["node"]["id"], (t["peer"] or {}).get("id")): t for t in way["paths"][0]["terms"]}
        latency = terms["latency", self.entry.id, self.relay.id]
        self.assertEqual((latency["known"], latency["raw"], latency["unit"]), (True, 1.5, "ms"))
        unknown = terms["latency", self.relay.id, self.worker.id]
        self.assertEqual((unknown["known"], unknown["raw"]), (False, None))
        self.assertAlmostEqual(sum(t["cost_ms"] for t in terms.values()), way["paths"][0]["cost_ms"], places=1)
        self.report(self.entry, endpoints=["10.0.0.1:7443"], links=[self.link(self.relay, "down", for_ms=1000)])
        way = self.routes(to=self.service_id, **{"from": self.entry.id})["routes"][0]
        self.assertEqual((way["paths"], way["choice"]), ([], "none"))
        self.assertIn("link-down", [r["rule"].replace("_", "-") for r in way["removed"]])
        self.assertIn("no path", way["reason"])

    def test_questions_that_have_no_answer(self):
        path = f"/v1/clusters/{self.cluster_id}/mesh-routes"
        self.refused(400, "invalid", self.owner.get, path)
        self.refused(400, "malformed", self.owner.get, f"{path}?to={self.worker.id}&from=x")
        self.refused(400, "invalid", self.owner.get, f"{path}?to={self.worker.id}&class=fast")
        self.assertIn("is not in the peer directory", self.routes(to="nowhere")["routes"][0]["reason"])
        late = self.node(self.cluster_id)
        self.refused(409, "conflict", self.owner.get, f"{path}?to={self.worker.id}&from={late.id}")
        self.refused(403, "forbidden", self.person(self.organization_id).get, f"{path}?to={self.service_id}")


class Access(Owner):
    """A session through the mesh, and what members are told of it."""

    def setUp(self):
        super().setUp()
        self.entry = self.mesh_node(endpoints=["10.7.7.1:7443"])
        self.entry_role = self.role(self.entry, "entry-node", public_endpoints=["entry.example.org:443"])
        self.relay = self.mesh_node("relay-node", endpoints=["10.7.7.2:7443"])
        self.worker = self.mesh_node("ssh-worker", organization=self.organization_id, endpoints=["10.7.7.3:7443"],
                                     attached=[self.relay.id])
        self.resource = self.owner.post(f"/v1/organizations/{self.organization_id}/resources", {
            "name": "demo", "protocol": "ssh", "cluster_id": self.cluster_id, "target": {"host": "h", "port": 22},
            "options": {}})["id"]
        self.member = self.person(self.organization_id)

    def open(self):
        return self.member.post("/v1/sessions", {"resource": "demo", "client_certificate_sha256": CERTIFICATE, "mode": "control"})

    def ready(self):
        service = self.service(self.worker)["service_id"]
        self.assertEqual(self.certificates(self.entry, entry_csr_pem=self.key().csr())["refused"], [])
        return service

    def test_a_session_names_entries_and_a_service(self):
        self.assertNotIn("mesh", self.open())  # nobody has a certificate yet
        service = self.ready()
        answer = self.open()
        mesh, session = answer["mesh"], answer["session"]["id"]
        self.assertEqual(mesh["entries"], ["entry.example.org:443"])
        self.assertEqual(mesh["service"], f"spiffe://{self.cluster_id}/service/{service}")
        carry, lease = part(mesh["carry"], 1), part(mesh["lease"], 1)
        self.assertEqual(part(mesh["carry"], 0)["typ"], "rap-carry+jwt")
        self.assertEqual((carry["aud"], carry["sid"], carry["org"], carry["verb"], carry["classes"]),
                         (mesh["service"], session, self.organization_id, "carry", ["interactive", "bulk"]))
        self.assertEqual(carry["exp"] - carry["iat"], 12 * 3600)
        self.assertEqual((lease["aud"], lease["sid"], lease["verb"], lease["exp"] - lease["iat"]),
                         (mesh["service"], session, "open", 30))
        self.assertEqual(lease["cnf"], carry["cnf"])
        self.assertEqual(set(answer), {"session", "mesh"}, "where the node is nobody needs to know")
        attached = self.member.post(f"/v1/sessions/{session}/attach", {"mode": "view", "client_certificate_sha256": CERTIFICATE})
        self.assertEqual((part(attached["mesh"]["lease"], 1)["verb"], part(attached["mesh"]["lease"], 1)["mode"]), ("attach", "view"))

    def test_a_carry_lease_is_renewed_for_who_may_attach(self):
        self.ready()
        session = self.open()["session"]["id"]
        renew = lambda person: person.post(f"/v1/sessions/{session}/carry", {"client_certificate_sha256": CERTIFICATE})
        answer = renew(self.member)
        self.assertEqual(set(answer), {"entries", "service", "carry", "carry_expires_at", "cluster_ca_pem"})
        self.assertEqual(part(answer["carry"], 1)["sid"], session)
        self.refused(404, "not_found", renew, self.person(self.organization()))
        self.assertIn("session.carry_granted", self.kinds(self.cluster_id))
        self.owner.delete(f"/v1/role-assignments/{self.entry_role}")
        self.refused(503, "unavailable", renew, self.member)
        self.member.post(f"/v1/sessions/{session}/terminate")
        self.refused(409, "conflict", renew, self.member)

    def test_an_entry_that_does_not_answer_is_not_told(self):
        self.ready()
        self.plane.admin_sql("update node_heartbeat_latest set received_at = now() - interval '1 minute' "
                             f"where node_id = '{self.entry.id}'")
        self.assertNotIn("mesh", self.open())
        self.beat(self.entry)
        wait_until(lambda: "mesh" in self.open(), "it answers again")
        self.owner.patch(f"/v1/nodes/{self.entry.id}/mesh", {"draining": True})
        self.assertNotIn("mesh", self.open())

    def silence_mesh_process(self, node):
        self.plane.admin_sql(f"update mesh_reports set received_at = now() - interval '2 minutes' where node_id = '{node.id}'")

    def test_a_node_with_a_mesh_service_needs_no_listener(self):
        self.beat(self.worker, mesh_endpoint="")
        wait_until(lambda: not self.owner.get(f"/v1/nodes/{self.worker.id}")["mesh_endpoint"], "no listener")
        self.assertIn("where it can be reached", self.refused(503, "unavailable", self.open)["detail"])
        self.ready()
        answer = self.open()
        self.assertEqual(set(answer), {"session", "mesh"})
        attached = self.member.post(f"/v1/sessions/{answer['session']['id']}/attach",
                                    {"mode": "view", "client_certificate_sha256": CERTIFICATE})
        self.assertEqual(set(attached), {"session", "mesh"})
        # Nothing of it is stored when no way can be named in the end.
        before = self.plane.admin_sql("select count(*) from sessions")
        self.silence_mesh_process(self.entry)
        self.assertIn("no entry", self.refused(503, "unavailable", self.open)["detail"])
        self.assertEqual(self.plane.admin_sql("select count(*) from sessions"), before)

    def test_a_mesh_process_that_does_not_report_is_not_offered(self):
        self.ready()
        self.assertEqual(set(self.open()), {"session", "mesh"})
        session = self.open()["session"]["id"]
        for node in (self.worker, self.entry):
            self.silence_mesh_process(node)
            self.assertEqual(set(self.open()), {"session", "lease", "node"}, "the listener is there")
            self.beat(node)
            self.assertIn("mesh", self.open())
        self.silence_mesh_process(self.worker)
        renewed = self.member.post(f"/v1/sessions/{session}/carry", {"client_certificate_sha256": CERTIFICATE})
        self.assertIn("carry", renewed, "it may be back when the lease is used")

    def test_placement_prefers_no_kind_of_way(self):
        """The worker has a mesh service and no listener, the other one a listener only."""
        self.ready()
        other = self.mesh_node("ssh-worker", organization=self.organization_id, endpoints=["10.7.7.9:7444"])
        self.beat(self.worker, mesh_endpoint="")
        wait_until(lambda: not self.owner.get(f"/v1/nodes/{self.worker.id}")["mesh_endpoint"], "no listener")
        opened = [self.open() for _ in range(6)]
        placed = [self.owner.get(f"/v1/sessions/{answer['session']['id']}")["node_id"] for answer in opened]
        self.assertEqual(sorted(placed), sorted([self.worker.id, other.id] * 3))
        for answer, node in zip(opened, placed):
            self.assertEqual("mesh" in answer, node == self.worker.id)

    def rapctl(self, person, *words):
        token = self.plane.folder / self.slug("token")
        token.write_text(person.token)
        done = subprocess.run([BINARIES / "rapctl", "--ca-file", self.plane.data / "platform-ca.pem", *words], text=True,
                              capture_output=True, stdin=subprocess.DEVNULL,
                              env={"RAP_SERVER": self.plane.url, "RAP_TOKEN_FILE": str(token), "HOME": str(self.plane.folder)})
        return done.returncode, done.stdout, done.stderr

    def test_rapctl_goes_where_the_answers_say(self):
        """Nothing listens there: what it says of that shows that it read them."""
        self.owner.delete(f"/v1/role-assignments/{self.entry_role}")
        self.role(self.entry, "entry-node")
        self.report(self.entry, endpoints=["127.0.0.1:1"])
        service = self.ready()
        status, _, said = self.rapctl(self.member, "session", "open", "--resource", "demo")
        self.assertEqual(status, 7, said)
        self.assertIn("entry 127.0.0.1:1: ", said)
        session = self.member.items("/v1/sessions")[-1]["id"]
        for to in (self.relay.id, service, session):
            status, out, said = self.rapctl(self.owner, "mesh", "trace", "--cluster", self.cluster_id, "--to", to, "-o", "json")
            self.assertEqual(status, 7, said)
            traced = json.loads(out)
            self.assertEqual([(t["entry"], t["error"]["code"], t["hops"]) for t in traced], [("127.0.0.1:1", "unavailable", [])])
        asked = [e["detail"]["to"] for e in self.owner.items(f"/v1/clusters/{self.cluster_id}/audit-events")
                 if e["kind"] == "mesh.trace_granted"]
        self.assertEqual(asked, [self.relay.id, service, service])
        status, _, said = self.rapctl(self.member, "mesh", "trace", "--cluster", self.cluster_id, "--to", service)
        self.assertEqual(status, 4, said)

    def test_the_owner_may_trace(self):
        service = self.ready()
        ask = lambda person, to: person.post(f"/v1/clusters/{self.cluster_id}/mesh-trace",
                                             {"to": to, "client_certificate_sha256": CERTIFICATE})
        answer = ask(self.owner, service)
        claims = part(answer["carry"], 1)
        self.assertEqual((claims["verb"], claims["org"], claims["sid"], claims["classes"]),
                         ("trace", self.organization_id, "", ["interactive"]))
        self.assertEqual(answer["authority"], f"{service}.service.rap.internal:1")
        node = ask(self.owner, self.relay.id)
        self.assertEqual((node["target"], part(node["carry"], 1)["org"]),
                         (f"spiffe://{self.cluster_id}/node/{self.relay.id}/mesh", ""))
        self.refused(403, "forbidden", ask, self.member, service)
        self.refused(400, "invalid", ask, self.owner, "demo")
        self.refused(404, "not_found", ask, self.owner, service[:-5] + "00000")
        self.assertIn("mesh.trace_granted", self.kinds(self.cluster_id))


if __name__ == "__main__":
    unittest.main()
