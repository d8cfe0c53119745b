"""A node and a cluster that nobody vouched for."""

import json
import secrets

from devtools.node import Node
from devtools.process import Failed, wait_until
from tests.e2e.test_bad_node import NodeTest


class Trust(NodeTest):
    def setUp(self):
        self.database = lambda text: self.platform.postgres.sql(text, "rap")
        slug = "unvouched-" + secrets.token_hex(3)
        self.cluster = self.api.post("/v1/clusters", {"name": slug, "slug": slug})["id"]
        self.node = Node(self.platform, slug)
        self.node.cluster = self.cluster
        self.addCleanup(self.node.stop)
        self.addCleanup(self.platform.rapctl, "release", "sync")
        self.trusted = self.node.folder / "state" / "tuf" / "cluster" / self.cluster / "root.json"

    def ask(self):
        self.node.make_token()
        self.node.start_enroll()
        return self.node.wait_join_request()

    def watched(self):
        return self.node

    def root(self):
        return self.api.get(f"/v1/clusters/{self.cluster}/director-root")["document"]

    def store(self, document):
        """As whoever took over the control plane and its database would."""
        self.database(f"update cluster_director_roots set document = $doc${json.dumps(document)}$doc$"
                      f" where cluster_id = '{self.cluster}'")

    def test_a_node_trusts_no_director_without_the_holders(self):
        """Not without signatures nor with a release key's, whatever the control plane says; then with a holder's."""
        self.database("delete from release_delegations")  # a control plane that does not know whom R trusts
        self.node.approve(self.ask())
        self.node.start()
        self.node.wait_online()
        words = f"director root of {self.cluster}: 0 of 1 signatures of the release repository's role `trust`"
        seen = wait_until(lambda: (s := self.status()) and s["snapshot"]["trouble"] and s, "its refusal",
                          self.node.log)
        self.assertIn(words, seen["snapshot"]["trouble"])
        self.assertIn("rapctl cluster root export", seen["snapshot"]["trouble"])
        self.assertIn(words, seen["detail"])
        self.assertFalse(self.trusted.exists())
        event = wait_until(self.refusal, "the refusal in the audit log", self.node.log)
        self.assertEqual((event["subject"], event["actor"]["id"]), ("director", self.node.id))
        self.assertIn(words, json.dumps(event["detail"]))

        file = self.platform.folder / "forged.root.json"
        file.write_text(json.dumps(self.root()))
        self.platform.sign("sign", file, "--key", "rel.plugin.rap-1")
        self.platform.rapctl("release", "sync")
        with self.assertRaises(Failed) as caught:
            self.platform.rapctl("cluster", "root", "import", file)
        self.assertIn("not of the role `trust`", str(caught.exception))
        self.store(json.loads(file.read_text()))
        failed = self.metric("rap_agent_syncs_failed_total")
        wait_until(lambda: self.metric("rap_agent_syncs_failed_total") > failed + 1, "other tries", self.node.log)
        self.assertFalse(self.trusted.exists())
        self.assertIn(words, self.status()["snapshot"]["trouble"])

        answer = self.platform.countersign(self.cluster)
        self.assertEqual((answer["trust"], answer["signatures"]), ("complete", 1))
        wait_until(lambda: not self.status()["snapshot"]["trouble"], "trust", self.node.log)
        self.assertEqual(json.loads(self.trusted.read_text()), self.root())

        # What is trusted stays so, whatever becomes of the signatures.
        self.store({**self.root(), "signatures": [s for s in self.root()["signatures"]
                                                  if s["keyid"] in self.root()["signed"]["roles"]["root"]["keyids"]]})
        kept = self.trusted.read_bytes()
        self.node.process.stop()
        self.node.start()
        wait_until(lambda: self.status() and self.metric("rap_agent_syncs_total") > 0, "a sync", self.node.log)
        self.assertEqual((self.status()["snapshot"]["trouble"], self.trusted.read_bytes()), ("", kept))

    def test_approval_waits_for_the_holders(self):
        self.platform.rapctl("release", "sync")
        request = self.ask()
        self.assertRefused(lambda: self.api.post(f"/v1/join-requests/{request['id']}/approve", {}), 409, self.cluster,
                           "0 of 1 signatures", "rapctl cluster root export")
        self.platform.countersign(self.cluster)
        self.node.approve(request)
        self.node.start()
        self.node.wait_online()

    def refusal(self):
        return next((e for e in self.api.items(f"/v1/clusters/{self.cluster}/audit-events")
                     if e["kind"] == "node.metadata_refused"), None)
