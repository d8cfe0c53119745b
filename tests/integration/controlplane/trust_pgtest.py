"""Who vouches for a cluster's director: signatures of R's role `trust` are collected, and nothing else."""

import copy
import unittest

from tests.integration.controlplane.harness import Node, StorageTest


class Trust(StorageTest):
    def approve(self, request):
        return self.owner.post(f"/v1/join-requests/{request}/approve", {})

    def test_a_cluster_gets_its_signatures(self):
        cluster = self.cluster()
        root = self.root(cluster)
        self.assertEqual((root["trust"], root["signatures"], root["threshold"]), ("unknown", 0, None))
        self.assertEqual(root["document"]["signed"]["cluster_id"], cluster)
        self.refused(409, "conflict", self.bring, cluster, root["document"])  # Version Storage was not read
        self.node(cluster)  # then it is the node that must refuse

        self.sign("init", "--trust-keys", 3, "--trust-threshold", 2)
        self.assertIn("trust                    keys only  2 of 3", self.run_tool("rap-sign", "show", "--repo", self.storage))
        self.owner.post("/v1/releases/sync")
        root = self.root(cluster)
        self.assertEqual((root["trust"], root["signatures"], root["threshold"]), ("missing", 0, 2))
        node = Node(self.plane, self.slug("n"))
        token = self.token(cluster)["token"]
        request = node.ask(token)["join_request_id"]
        for have, keys in ((1, ["trust-1"]), (1, ["trust-1"]), (2, ["trust-3"])):
            problem = self.refused(409, "conflict", self.approve, request)
            self.assertIn("rapctl cluster root export", problem["detail"])
            document = self.signed_root(cluster, *keys)
            for word in (cluster, root["signed_sha256"], "root: 1 of 1 keys", "timestamp: 1 of 1 keys",
                         root["document"]["signed"]["roles"]["root"]["keyids"][0]):
                self.assertIn(word, self.said)
            self.assertEqual(self.bring(cluster, document)["signatures"], have)
        root = self.root(cluster)
        self.assertEqual((root["trust"], root["signatures"], len(root["document"]["signatures"])), ("complete", 2, 3))
        self.assertEqual(self.kinds(cluster).count("cluster.root_countersigned"), 2)  # one brought nothing new

        self.approve(request)
        answer = node.ask(token)
        self.assertEqual(answer["director_root"], root["document"])
        node.take(answer)
        self.assertEqual(node.api().get("/tuf/director/metadata/1.root.json"), root["document"])
        self.refuses(cluster)
        self.refuses_others(cluster, node)
        self.refuses_a_root_that_names_no_cluster(cluster)

    def refuses(self, cluster):
        """Nothing but good signatures of the role gets in."""
        before = self.root(cluster)
        good = before["document"]
        changed = copy.deepcopy(good)
        changed["signed"]["expires"] = "2036-01-01T00:00:00Z"
        keyless = copy.deepcopy(good)
        keyless["signed"]["roles"]["root"]["threshold"] = 0
        forged = copy.deepcopy(good)
        forged["signatures"].append({"keyid": "f" * 64, "sig": "0" * 128})
        twice = copy.deepcopy(good)
        twice["signatures"].append(twice["signatures"][0])
        many = copy.deepcopy(good)
        many["signatures"] += [{"keyid": str(i), "sig": "00"} for i in range(300)]
        self.sign("key", "create", "stranger")
        for status, code, document in (
                (422, "mismatch", changed), (422, "malformed", keyless), (422, "bad_signature", forged),
                (422, "malformed", twice), (422, "too_large", many), (422, "malformed", {}),
                (422, "malformed", {"signed": 1, "signatures": []}),
                (422, "mismatch", self.root(self.cluster())["document"]),
                (422, "bad_signature", self.signed_root(cluster, "rel.plugin.rap-1")),
                (422, "bad_signature", self.signed_root(cluster, "stranger"))):
            with self.subTest(code, document=str(document)[:60]):
                self.refused(status, code, self.bring, cluster, document)
        for body in ({}, {"document": "text"}, {"document": [good]}, {"document": good, "more": 1}):
            self.refused(400, "invalid", self.owner.post, f"/v1/clusters/{cluster}/director-root/signatures", body)
        self.assertEqual(self.root(cluster), before)
        self.assertEqual(self.bring(cluster, {**good, "signatures": []}), before)  # an older copy takes nothing away

    def refuses_a_root_that_names_no_cluster(self, cluster):
        """As roots of early builds were."""
        request = Node(self.plane, self.slug("n")).ask(self.token(cluster)["token"])["join_request_id"]
        good = self.root(cluster)["document"]
        self.plane.admin_sql("update cluster_director_roots set document = (document::jsonb #- '{signed,cluster_id}')::text"
                             f" where cluster_id = '{cluster}'")
        for call in (lambda: self.root(cluster), lambda: self.bring(cluster, good), lambda: self.approve(request)):
            self.assertIn("make a new cluster", self.refused(409, "conflict", call)["detail"])

    def refuses_others(self, cluster, node):
        path = f"/v1/clusters/{cluster}/director-root"
        for api, status in ((self.person(self.organization(), "admin"), 403), (node.api(), 401), (self.plane.api(), 401)):
            self.assertEqual(api.raw("GET", path)[0], status)
            self.assertEqual(api.raw("POST", path + "/signatures", {"document": {}})[0], status)
        unknown = "/v1/clusters/cls_00000000000000000000000000/director-root"
        self.refused(404, "not_found", self.owner.get, unknown)
        self.refused(404, "not_found", self.owner.post, unknown + "/signatures", {"document": {}})


if __name__ == "__main__":
    unittest.main()
