"""Version Storage as the control plane reads it, and what the director makes of it."""

import hashlib
import json
import os
import tempfile
import unittest
import pathlib

from tests.integration.controlplane.harness import BINARIES, StorageTest

PRODUCT = "plugin.rap.ssh"
PLUGINS = pathlib.Path(os.environ.get("RAP_PLUGINS", BINARIES.parent / "plugins"))


class Releases(StorageTest):
    def publish(self, version, sequence):
        manifest = pathlib.Path(tempfile.mkdtemp(dir=self.plane.folder)) / "manifest.json"
        plugin = PLUGINS / "ssh.so"
        manifest.write_text(self.run_tool("rap-plugin-check", "manifest", plugin, "--product", PRODUCT,
                                          "--version", version, "--seq", sequence))
        self.sign("publish", "--manifest", manifest, "--artifact", plugin)
        return plugin

    def pinned_ahead(self, cluster, node):
        """Who pins a version before it is published is told by the node what is missing; a typo is refused."""
        path, organization = f"/v1/clusters/{cluster}/role-assignments", self.organization()
        ask = lambda policy: self.owner.post(path, {"node_id": node.id, "role": "ssh-worker", "policy": policy,
                                                    "organization_id": organization})
        problem = self.refused(400, "invalid", ask, {"verison": "9.9.9"})
        self.assertEqual(problem["errors"][0]["pointer"], "/policy/verison")
        self.assertIn("product, version, channel and config", problem["detail"])
        self.assertEqual(self.refused(400, "invalid", ask, {"a/b": 1})["errors"][0]["pointer"], "/policy/a~1b")
        made = ask({"version": "9.9.9"})
        node.api().raw("GET", "/tuf/director/metadata/timestamp.json")  # builds what changed
        roles = json.loads(node.api().raw("GET", "/tuf/director/targets/snap/roles.json")[2])["assignments"]
        pinned = next(r for r in roles if r["assignment_id"] == made["id"])
        self.assertEqual((pinned["product"], pinned["version"], pinned["reason"]),
                         (None, None, f"Version Storage lists no {PRODUCT} 9.9.9"))
        self.owner.delete(f"/v1/role-assignments/{made['id']}")

    def test_sync_assign_and_serve(self):
        self.refused(422, "not_found", self.owner.post, "/v1/releases/sync")
        self.sign("init")
        plugin = self.publish("0.1.0", 1)
        self.assertEqual(self.owner.post("/v1/releases/sync")["added"], 1)
        self.assertEqual(self.owner.post("/v1/releases/sync")["added"], 0)
        release = self.owner.items("/v1/releases")[0]
        self.assertEqual((release["product"], release["version"], release["listed"]), (PRODUCT, "0.1.0", True))

        cluster = self.trusted_cluster()
        node = self.node(cluster)
        self.owner.post(f"/v1/clusters/{cluster}/role-assignments", {"node_id": node.id, "role": "ssh-worker"})
        get = lambda path: node.api().raw("GET", path)
        timestamp = json.loads(get("/tuf/director/metadata/timestamp.json")[2])["signed"]
        version = node.api().get("/v1/node/desired")["director_version"]
        self.assertEqual(timestamp["version"], version)
        snapshot_name = f"{timestamp['meta']['snapshot.json']['version']}.snapshot.json"
        snapshot = json.loads(get(f"/tuf/director/metadata/{snapshot_name}")[2])["signed"]
        targets_name = f"{snapshot['meta']['targets.json']['version']}.targets.json"
        targets = json.loads(get(f"/tuf/director/metadata/{targets_name}")[2])["signed"]["targets"]
        artifact = f"rel/{PRODUCT}/0.1.0/linux-x86_64-glibc.so"
        self.assertEqual(set(targets), {"snap/membership.json", "snap/roles.json", "snap/access.json", artifact,
                                        f"rel/{PRODUCT}/0.1.0/manifest.json"})
        for path, target in targets.items():
            self.assertEqual((target["custom"]["node_id"], target["custom"]["cluster_id"],
                              target["custom"]["authority_term"]), (node.id, cluster, 1))
            digest = target["hashes"]["sha256"]
            folder, _, name = path.rpartition("/")
            status, _, data = get(f"/tuf/director/targets/{folder}/{digest}.{name}")
            self.assertEqual((status, hashlib.sha256(data).hexdigest(), len(data)), (200, digest, target["length"]), path)
        self.assertEqual(hashlib.sha256(plugin.read_bytes()).hexdigest(), targets[artifact]["hashes"]["sha256"])
        roles = json.loads(get("/tuf/director/targets/snap/roles.json")[2])["assignments"]
        self.assertEqual((roles[0]["product"], roles[0]["version"]), (PRODUCT, "0.1.0"))
        self.assertNotIn("reason", roles[0])
        self.pinned_ahead(cluster, node)
        self.assertEqual(get("/tuf/director/metadata/1.root.json")[0], 200)
        self.assertEqual(get("/tuf/director/metadata/2.root.json")[0], 404)

        # R is for everybody; nothing else of the disk is.
        anyone = self.plane.api()
        self.assertEqual(anyone.raw("GET", "/tuf/release/metadata/timestamp.json")[0], 200)
        for path in ("/tuf/release/metadata/..%2f..%2fdata%2fsecrets.kek", "/tuf/release/targets/../../data/secrets.kek",
                     "/tuf/release/targets/..%2f..%2fdata%2fsecrets.kek", "/tuf/release/targets/rel", "/tuf/release/targets/%00"):
            self.assertEqual(anyone.raw("GET", path)[0], 404, path)
        self.assertEqual(anyone.raw("GET", "/tuf/director/metadata/timestamp.json")[0], 401)

        # A new release moves the node on; versions only grow.
        seen = node.api().get("/v1/node/desired")
        self.publish("0.2.0", 2)
        self.owner.post("/v1/releases/sync")
        now = node.api().get(f"/v1/node/desired?seen={seen['seq']}&wait_ms=5000")
        self.assertGreater(now["director_version"], seen["director_version"])
        self.assertEqual(json.loads(get("/tuf/director/targets/snap/roles.json")[2])["assignments"][0]["version"], "0.2.0")

        # A storage that went back, or was changed, is refused and changes nothing.
        stamp = self.storage / "metadata" / "timestamp.json"
        good = stamp.read_bytes()
        changed = json.loads(good)
        changed["signed"]["version"] += 1
        stamp.write_text(json.dumps(changed))
        self.refused(422, "bad_signature", self.owner.post, "/v1/releases/sync")
        stamp.write_bytes(good)
        self.assertEqual(len(self.owner.items("/v1/releases")), 2)


if __name__ == "__main__":
    unittest.main()
