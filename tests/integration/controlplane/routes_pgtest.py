"""What every route has in common: audit, idempotency, ETags, pages, refusals, the document of the API."""

import hashlib
import json

from tests.integration.controlplane.harness import DOCUMENT, PASSWORD, PlaneTest


class Routes(PlaneTest):
    def test_audit_chain_notices_a_changed_row(self):
        cluster = self.cluster()
        self.token(cluster)
        verify = lambda: self.owner.get(f"/v1/clusters/{cluster}/audit-events/verify")
        self.assertTrue(verify()["valid"])
        self.assertEqual(verify()["checked"], 2)
        for change, undo in ((f"update cluster_audit_events set actor_name = 'x' where chain_id = '{cluster}' and seq = 1",
                              "update cluster_audit_events set actor_name = 'Olga Owner' where actor_name = 'x'"),):
            self.plane.admin_sql(change)
            self.assertIn("event 1 was changed", verify()["problem"])
            self.plane.admin_sql(undo)
            self.assertTrue(verify()["valid"])
        self.plane.admin_sql(f"delete from cluster_audit_events where chain_id = '{cluster}' and seq = 2")
        self.assertFalse(verify()["valid"])
        self.assertTrue(self.owner.get("/v1/clusters/platform/audit-events/verify")["valid"])

    def test_audit_events_from_either_end(self):
        organization = self.organization()
        admin = self.person(organization, "admin")
        for i in range(5):
            admin.post(f"/v1/organizations/{organization}/secrets", {"name": f"s{i}", "value": "v"})
        for api, path in ((self.owner, "/v1/clusters/platform"), (admin, f"/v1/organizations/{organization}")):
            path += "/audit-events?limit=2"
            page = api.get(path + "&order=newest")
            rest = api.get(path + f"&order=newest&cursor={page['next_cursor']}")
            got = [e["id"] for e in page["items"] + rest["items"]]
            self.assertEqual(len(got), 4)
            self.assertEqual(got, sorted(got, reverse=True))
            self.assertEqual(page["items"][0]["kind"], "secret.created")
            self.assertLess(api.get(path)["items"][1]["id"], got[-1])
            self.refused(400, "invalid", api.get, path + "&order=up")

    def test_idempotency_key(self):
        body = {"name": "c", "slug": self.slug("i")}
        first = self.owner.post("/v1/clusters", body, key="k1")
        self.assertEqual(self.owner.post("/v1/clusters", body, key="k1"), first)
        self.refused(422, "conflict", self.owner.post, "/v1/clusters", {**body, "name": "d"}, key="k1")
        self.refused(400, "invalid", self.owner.post, "/v1/clusters", body, key="k" * 65)
        token = {"ttl_s": 60}
        path = f"/v1/clusters/{first['id']}/join-tokens"
        shown = self.owner.post(path, token, key="k2")
        self.assertEqual(self.owner.post(path, token, key="k2")["token"], shown["token"])
        secret = shown["token"].split(".")[2]
        self.assertNotIn(secret, self.plane.admin_sql("select row_to_json(k)::text from idempotency_keys k"))
        self.assertNotIn(secret.encode().hex(), self.plane.admin_sql("select row_to_json(k)::text from idempotency_keys k"))

    def test_what_is_kept_of_a_request_lets_nobody_guess_its_password(self):
        body = json.dumps({"login": self.slug("p"), "display_name": "p", "password": PASSWORD}).encode()
        self.owner.post("/v1/users", body, key="guess")
        kept = self.plane.admin_sql("select encode(body_mac, 'hex') from idempotency_keys where key = 'guess'")
        self.assertEqual(len(kept), 64)
        self.assertNotEqual(kept, hashlib.sha256(body).hexdigest())

    def test_etags(self):
        cluster = self.cluster()
        path = f"/v1/clusters/{cluster}"
        self.refused(428, "invalid", self.owner.call, "PATCH", path, {"name": "x"})
        changed = self.owner.patch(path, {"name": "new name"})
        self.assertEqual(changed["name"], "new name")
        self.refused(412, "conflict", self.owner.call, "PATCH", path, {"name": "y"}, {"If-Match": '"1"'})

    def test_pages(self):
        cluster = self.cluster()
        made = [self.owner.post(f"/v1/clusters/{cluster}/node-groups", {"name": f"g{i}"})["id"] for i in range(5)]
        seen, cursor = [], ""
        while cursor is not None:
            page = self.owner.get(f"/v1/clusters/{cluster}/node-groups?limit=2&cursor={cursor}" if cursor else
                                  f"/v1/clusters/{cluster}/node-groups?limit=2")
            self.assertLessEqual(len(page["items"]), 2)
            seen += [g["id"] for g in page["items"]]
            cursor = page["next_cursor"]
        self.assertEqual(seen, sorted(made))
        self.refused(400, "invalid", self.owner.get, "/v1/clusters?limit=0")
        self.refused(400, "malformed", self.owner.get, "/v1/clusters?cursor=x")

    def test_what_is_asked_and_not_known_is_refused_with_what_there_is(self):
        listed = ("/v1/clusters", "/v1/nodes", "/v1/organizations", "/v1/users", "/v1/sessions", "/v1/releases",
                  "/v1/auth/tokens", "/v1/clusters/platform/audit-events", "/livez", "/v1/auth/whoami")
        for path in listed:
            said = self.refused(400, "invalid", self.owner.get, path + "?nope=1")["detail"]
            self.assertIn("no such query parameter: nope", said)
        self.assertIn("limit, cursor, order, state, organization_id",
                      self.refused(400, "invalid", self.owner.get, "/v1/sessions?stat=active")["detail"])
        for path, word in (("/v1/sessions?state=active,nope", "opening, active, detached, closing, closed, failed"),
                           ("/v1/sessions?order=up", "oldest, newest"),
                           (f"/v1/clusters/{self.cluster()}/join-requests?status=open", "pending, approved, rejected"),
                           ("/v1/clusters/platform/audit-events?order=up", "oldest, newest"),
                           ("/v1/sessions?limit=1&limit=2", "twice"), ("/v1/sessions?limit=%4", "broken")):
            self.assertIn(word, self.refused(400, "invalid", self.owner.get, path)["detail"])
        self.refused(400, "malformed", self.owner.get, "/v1/sessions?organization_id=x")

    def test_a_join_token_is_for_roles_that_exist(self):
        cluster = self.cluster()
        said = self.refused(400, "invalid", self.token, cluster, scope={"roles": ["ssh-worker", "nope"]})["detail"]
        for part in ("no such role: nope", "ssh-worker", "relay-node"):
            self.assertIn(part, said)
        self.assertEqual(self.token(cluster, scope={"roles": ["ssh-worker"]})["scope"], {"roles": ["ssh-worker"]})

    def test_node_groups_are_a_tree(self):
        cluster = self.cluster()
        groups = f"/v1/clusters/{cluster}/node-groups"
        top = self.owner.post(groups, {"name": "site"})["id"]
        below = self.owner.post(groups, {"name": "rack", "parent_id": top})["id"]
        move = lambda group, to: self.owner.call("PATCH", f"/v1/node-groups/{group}", to, {"If-Match": '"1"'})
        self.refused(400, "invalid", move, top, {"parent_id": below})
        self.refused(400, "invalid", move, top, {"parent_id": top})
        self.assertIsNone(move(below, {"parent_id": None, "name": "rack"})["parent_id"])
        self.refused(412, "conflict", move, below, {"parent_id": top})
        self.owner.call("PATCH", f"/v1/node-groups/{below}", {"parent_id": top}, {"If-Match": '"2"'})
        self.refused(409, "conflict", self.owner.delete, f"/v1/node-groups/{top}")
        self.refused(409, "conflict", self.owner.post, groups, {"name": "rack", "parent_id": top})
        other = self.owner.post(f"/v1/clusters/{self.cluster()}/node-groups", {"name": "o"})["id"]
        self.refused(400, "invalid", self.owner.post, groups, {"name": "x", "parent_id": other})
        self.owner.delete(f"/v1/node-groups/{below}")
        self.owner.delete(f"/v1/node-groups/{top}")

    def test_bad_requests_say_what_is_wrong(self):
        problem = self.refused(400, "invalid", self.owner.post, "/v1/clusters", {"name": "", "slug": "A", "x": 1})
        self.assertEqual({e["pointer"] for e in problem["errors"]}, {"/name", "/slug", "/x"})
        for body, status in ((b"{", 400), (b"[]", 400), (b'{"a":1,"a":2}', 400), (b'{"name":"\\u0000"}', 400)):
            self.assertEqual(self.owner.raw("POST", "/v1/clusters", body)[0], status, body)
        self.assertEqual(self.owner.raw("POST", "/v1/clusters", b"x", {"Content-Type": "text/plain"})[0], 415)
        self.assertEqual(self.owner.raw("DELETE", "/v1/clusters")[0], 405)
        self.assertEqual(self.owner.raw("GET", "/v2")[0], 404)
        self.assertEqual(self.owner.raw("POST", "/v1/clusters", b'"' + b"x" * (1 << 20) + b'"')[0], 413)

    def test_bodies_of_strangers_are_not_read(self):
        big = b'{"name":"' + b"x" * 100_000 + b'"}'
        for path in ("/v1/clusters", "/v1/node/heartbeat", "/v1/releases/sync"):
            self.assertEqual(self.plane.api().raw("POST", path, b"{")[0], 401, path)
            self.assertEqual(self.plane.api("rapses1.x").raw("POST", path, big)[0], 401, path)
        for path in ("/v1/auth/login", "/v1/enroll"):
            self.assertEqual(self.plane.api().raw("POST", path, big)[0], 413, path)
            self.assertEqual(self.plane.api().raw("POST", path, big[:60_000])[0], 400, path)
        self.assertEqual(self.owner.raw("POST", "/v1/clusters", big)[0], 400)

    def test_openapi_describes_the_running_server(self):
        document = self.plane.api().get("/v1/openapi.json")
        self.assertEqual(document, DOCUMENT.document)
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                at = path.replace("{id}", "x").replace("{file}", "x").replace("{path}", "x")
                status, headers, data = self.plane.api().raw(method.upper(), at, b"{}" if method != "get" else None)
                self.assertIn(str(status), operation["responses"], f"{method} {path}")
                self.assertNotIn(status, (405, 500), f"{method} {path}")
                if status >= 400:
                    self.assertEqual(json.loads(data)["status"], status)
                    self.assertEqual(headers["content-type"], "application/problem+json")


if __name__ == "__main__":
    unittest.main()
