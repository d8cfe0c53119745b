"""Nodes with a place in the mesh, as their agents would take it."""

import hashlib
import json
import pathlib
import subprocess
import time

from tests.integration.controlplane.harness import PlaneTest, wait_until

CAPABILITIES = ["can_run_ssh_worker", "can_route_mesh", "can_accept_client_ingress", "can_run_vpn_exit"]


class Key:
    """A private key of the mesh process, in a file of its own."""

    def __init__(self, folder, name):
        self.path = pathlib.Path(folder) / f"{name}.key"
        subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.path], check=True,
                       capture_output=True)

    def csr(self):
        return subprocess.run(["openssl", "req", "-new", "-key", self.path, "-subj", "/CN=ignored"], check=True,
                              capture_output=True, text=True).stdout

    def spki(self):
        der = subprocess.run(["openssl", "pkey", "-in", self.path, "-pubout", "-outform", "DER"], check=True,
                             capture_output=True).stdout
        return hashlib.sha256(der).hexdigest()


def facts(pem):
    """The text of a certificate as openssl prints it."""
    return subprocess.run(["openssl", "x509", "-noout", "-text"], input=pem, check=True, capture_output=True,
                          text=True).stdout


class MeshTest(PlaneTest):
    def setUp(self):
        self.cluster_id, self.organization_id = self.cluster(), self.organization()

    def key(self):
        return Key(self.plane.folder, self.slug("mesh-key"))

    def role(self, node, role, organization=None, **config):
        body = {"node_id": node.id, "role": role, "policy": {"config": config} if config else {}}
        if organization:
            body["organization_id"] = organization
        return self.owner.post(f"/v1/clusters/{self.cluster_id}/role-assignments", body)["id"]

    def mesh_node(self, *roles, endpoints=("10.0.0.1:7443",), attached=(), organization=None, beat=True):
        """Enrolled, with these roles, a mesh certificate and a first report."""
        node = self.node(self.cluster_id)
        node.reports, node.keys = 0, {}
        if beat:
            self.beat(node)
            self.until_capable(node)
        for role in roles:
            self.role(node, role, organization)
        node.keys["mesh"] = self.key()
        answer = self.certificates(node, mesh_csr_pem=node.keys["mesh"].csr())
        self.assertEqual(answer["refused"], [])
        self.report(node, endpoints=list(endpoints), attached=list(attached))
        return node

    def beat(self, node, **more):
        node.beat(capabilities=[{"name": name, "detail": {}} for name in CAPABILITIES], **more)
        if getattr(node, "reports", 0):
            self.report(node, **node.reported)  # its mesh process is there too

    def until_capable(self, node):
        wait_until(lambda: len(self.owner.get(f"/v1/nodes/{node.id}")["capabilities"]) == len(CAPABILITIES), "capabilities")

    def certificates(self, node, **body):
        return node.api().post("/v1/node/certificates", body)

    def service(self, node, organization=None, key=None):
        organization = organization or self.organization_id
        key = key or self.key()
        answer = self.certificates(node, services=[{"organization_id": organization, "csr_pem": key.csr()}])
        self.assertEqual(answer["refused"], [])
        return answer["services"][0]

    def report(self, node, boot="b1", seq=None, **more):
        node.reports = seq or node.reports + 1
        node.reported = {"boot": boot, **more}
        return node.api().post("/v1/node/mesh-report", {"boot_id": boot, "seq": node.reports, **more})

    def link(self, peer, state="up", **more):
        return {"peer": peer.id, "state": state, "for_ms": 5000, "age_ms": 100, **more}

    def targets(self, node):
        """What the node's D lists, by path."""
        api = node.api()
        timestamp = api.get("/tuf/director/metadata/timestamp.json")
        snapshot_version = timestamp["signed"]["meta"]["snapshot.json"]["version"]
        snapshot = api.get(f"/tuf/director/metadata/{snapshot_version}.snapshot.json")
        version = snapshot["signed"]["meta"]["targets.json"]["version"]
        return api.get(f"/tuf/director/metadata/{version}.targets.json")["signed"]["targets"]

    def directory(self, node):
        """snap/mesh.json of the node, or None; its hash is the one that D signed."""
        listed = self.targets(node).get("snap/mesh.json")
        if listed is None:
            return None
        digest = listed["hashes"]["sha256"]
        status, _, data = node.api().raw("GET", f"/tuf/director/targets/snap/{digest}.mesh.json")
        self.assertEqual((status, hashlib.sha256(data).hexdigest()), (200, digest))
        return json.loads(data)

    def look_again(self):
        self.plane.admin_sql(f"update mesh_clusters set due_at = now() where cluster_id = '{self.cluster_id}'")

    def until_told(self):
        """A round has seen everything that was changed until now."""
        due = f"select due_at > now() + interval '20 seconds' from mesh_clusters where cluster_id = '{self.cluster_id}'"
        wait_until(lambda: self.plane.admin_sql(due) == "t", "a round")
        time.sleep(2)  # it was begun

    def known(self, node):
        directory = self.directory(node)
        return {} if directory is None else {n["node_id"]: n for n in directory["nodes"]}

    def until_knows(self, node, check, what):
        return wait_until(lambda: check(self.known(node)), what)


__all__ = ["CAPABILITIES", "Key", "MeshTest", "facts", "wait_until"]
