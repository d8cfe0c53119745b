"""No organization learns the topology: every operation of the document, with the tokens of a member and of an admin, on a
platform with nodes, links, pools, rules and sessions."""

import base64
import itertools
import re
import subprocess
import time
import unittest

from tests.integration.controlplane.harness import DOCUMENT
from tests.integration.controlplane.mesh_rig import MeshTest

CERTIFICATE = "ab" * 32
JWS = re.compile(r"[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}")
PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.S)
# What others need, or the caller's login, ends at the end.
LAST = ("terminate", "/v1/auth/totp", "/v1/auth/password", "/v1/auth/tokens/", "/v1/auth/logout")


def opened(text):
    """The text with everything in it that is only written in another form."""
    more = []
    for token in JWS.findall(text):
        for part in token.split(".")[:2]:
            more.append(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode(errors="replace"))
    for pem in PEM.findall(text.replace("\\n", "\n")):
        more.append(subprocess.run(["openssl", "x509", "-noout", "-text"], input=pem, check=True, capture_output=True,
                                   text=True).stdout)
    return "\n".join([text, *more])


class Leak(MeshTest):
    def setUp(self):
        super().setUp()
        self.nodes = [self.mesh_node(endpoints=["10.7.7.1:7443"])]
        self.role(self.nodes[0], "entry-node", public_endpoints=["entry.example.org:443"])
        self.nodes += [self.mesh_node("relay-node", endpoints=["10.7.7.2:7443"]),
                       self.mesh_node("ssh-worker", "relay-node", organization=self.organization_id, endpoints=["10.7.7.3:7443"]),
                       self.mesh_node("vpn-exit", endpoints=["10.7.7.4:7443"])]
        self.entry, self.relay, self.worker, self.exit = self.nodes
        self.secret_words = [text for n in self.nodes for text in (n.id, n.name)] + ["10.7.7.", "127.0.0.1:4433", "nod_", "boot-secret"]
        self.service(self.worker)
        self.certificates(self.entry, entry_csr_pem=self.key().csr())
        for node in self.nodes:
            self.report(node, boot="boot-secret", seq=50, endpoints=[f"10.7.7.{self.nodes.index(node) + 1}:7443"],
                        attached=[self.relay.id] if node is self.exit else [],
                        links=[self.link(peer) for peer in self.nodes if peer is not node])
        base = f"/v1/clusters/{self.cluster_id}"
        self.pool = self.owner.post(f"{base}/egress-pools", {"name": "office", "members": [self.exit.id],
                                                             "organizations": [self.organization_id]})["id"]
        self.owner.raw("PUT", f"{base}/mesh-organizations/{self.organization_id}", {"regions": []})
        self.owner.patch(f"/v1/nodes/{self.relay.id}/mesh", {"avoid": 5})
        org = f"/v1/organizations/{self.organization_id}"
        secret = self.owner.post(f"{org}/secrets", {"name": "pw", "value": "v"})["id"]
        self.resource = self.owner.post(f"{org}/resources", {
            "name": "demo", "protocol": "ssh", "cluster_id": self.cluster_id, "target": {"host": "h", "port": 22},
            "secret_ref": secret, "options": {}})["id"]
        self.people = {role: self.person(self.organization_id, role) for role in ("member", "admin")}
        self.session = self.open(self.people["member"])
        self.worker.api().post("/v1/node/session-events", {"events": [
            {"event_id": self.session + kind, "session_id": self.session, "kind": kind, "user_name": "Anna", **more}
            for kind, more in (("state", {"state": "active"}), ("attached", {}))]})
        self.worker.api().post("/v1/node/events", {"events": [
            {"event_id": "e1", "kind": "workload_failed", "subject": "x", "detail": f"on {self.worker.name}", "at": "2026-01-01T00:00:00Z"}]})
        self.beaten = 0
        membership = self.owner.items(f"{org}/memberships")[0]
        request = self.owner.items(f"{base}/join-requests")[0]["id"]
        assignment = self.owner.items(f"{base}/role-assignments")[0]["id"]
        self.ids = [self.organization_id, self.session, self.resource, secret, membership["id"], membership["user_id"],
                    self.cluster_id, self.relay.id, self.pool, request, assignment, "platform"]

    def keep_alive(self):
        """A node that is silent for 20 s gets no session."""
        if time.monotonic() - self.beaten > 4:
            self.beaten = time.monotonic()
            for node in self.nodes:
                self.beat(node)
            time.sleep(0.2)

    def open(self, person):
        answer = person.post("/v1/sessions", {"resource": "demo", "client_certificate_sha256": CERTIFICATE})
        self.assertIn("mesh", answer)
        return answer["session"]["id"]

    def operations(self):
        for path, methods in DOCUMENT.document["paths"].items():
            for method, operation in methods.items():
                if any("person" in scheme for scheme in operation["security"]):
                    yield method.upper(), path, operation

    def body(self, path):
        session = {"resource": "demo", "client_certificate_sha256": CERTIFICATE, "mode": "control"}
        known = {"/v1/sessions": session, "/v1/sessions/{id}/carry": {"client_certificate_sha256": CERTIFICATE},
                 "/v1/sessions/{id}/attach": {"client_certificate_sha256": CERTIFICATE, "mode": "view"},
                 "/v1/clusters/{id}/mesh-trace": {"to": self.relay.id, "client_certificate_sha256": CERTIFICATE}}
        return known.get(path, {})

    def look(self, person, method, path, target):
        status, headers, data = person.raw(method, target, None if method in ("GET", "DELETE") else self.body(path))
        text = data.decode(errors="replace")
        # What the caller wrote into the path itself is no news.
        words = [word for word in self.secret_words if not (status >= 400 and word in target)]
        for word in words:
            self.assertNotIn(word, opened(f"{headers}\n{text}"), f"{method} {target} {status} tells {word}")
        return status

    def walk(self, person):
        succeeded = set()
        self.keep_alive()
        ids = [self.open(person), *self.ids]
        last = lambda operation: (max([i for i, end in enumerate(LAST) if end in operation[1]], default=-1),
                                  operation[0] == "DELETE", operation[1])
        for method, path, operation in sorted(self.operations(), key=last):
            self.keep_alive()
            variables = re.findall(r"\{\w+\}", path)
            pairs = [(self.cluster_id, self.organization_id), (self.organization_id, self.relay.id)]
            for values in pairs if len(variables) == 2 else itertools.product(ids, repeat=len(variables)):
                target = path
                for variable, value in zip(variables, values):
                    target = target.replace(variable, value, 1)
                status = self.look(person, method, path, target)
                if operation.get("x-rap-owner"):
                    self.assertGreaterEqual(status, 400, f"{method} {target} is for owners")
                if status < 300:
                    succeeded.add((method, path))
            for query in ("?limit=1", "?order=newest") if method == "GET" and not variables else ():
                self.look(person, method, path, path + query)
        return succeeded

    def test_no_answer_names_a_node_an_address_a_route_or_a_relay(self):
        readable = {(m, p) for m, p, o in self.operations() if m == "GET" and not o.get("x-rap-owner")}
        for role, person in self.people.items():
            with self.subTest(role):
                succeeded = self.walk(person)
                for_admins = set() if role == "admin" else {
                    ("GET", "/v1/organizations/{id}/audit-events"), ("GET", "/v1/organizations/{id}/secrets"),
                    ("GET", "/v1/organizations/{id}/memberships")}
                self.assertEqual(readable - succeeded - for_admins, set(), "was never read")
                self.assertLessEqual({("POST", "/v1/sessions"), ("POST", "/v1/sessions/{id}/attach"),
                                      ("POST", "/v1/sessions/{id}/carry")}, succeeded)

    def test_the_owner_does_see_them(self):
        """Or the words looked for above are not those that the platform uses."""
        said = self.owner.raw("GET", f"/v1/clusters/{self.cluster_id}/mesh-links")[2].decode()
        for node in self.nodes:
            self.assertIn(node.id, said)
            self.assertIn(node.name, said)
        events = lambda person: person.items(f"/v1/organizations/{self.organization_id}/audit-events")
        ours = {e["id"]: e for e in events(self.people["admin"])}
        theirs = {e["id"]: e for e in events(self.owner)}
        self.assertEqual(set(ours), set(theirs))
        requested = next(e for e in theirs.values() if e["kind"] == "session.requested")
        self.assertEqual(requested["detail"]["node_id"], self.worker.id)
        self.assertNotIn("node_id", ours[requested["id"]]["detail"])
        attached = next(e for e in ours.values() if e["kind"] == "session.attached")
        self.assertEqual(attached["actor"], {"kind": "node", "id": "", "name": "a node"})
        self.assertEqual(theirs[attached["id"]]["actor"]["name"], self.worker.name)
        self.assertIn("10.7.7.2", self.owner.raw("GET", f"/v1/nodes/{self.relay.id}/mesh")[2].decode())


if __name__ == "__main__":
    unittest.main()
