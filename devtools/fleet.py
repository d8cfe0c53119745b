"""A platform of five nodes, each a host of its own: an entry, two relays, two that serve sessions.

    rapctl, control plane, PostgreSQL, Redis         this machine
       │ 443
    entry-1 ── relay-1, relay-2 ── ssh-1, ssh-2      a network namespace each (devtools/namespaces.py)
Firewalls make it so: from this machine only the entry's port is to be had, and who serves sessions has no port at all,
knows the relays and the control plane, and is reached over what it dialled. Each of those two has a real sshd
of its own on its 127.0.0.1, with the same keys and port.
"""

from devtools import namespaces
from devtools.node import Node
from devtools.platform import Platform
from devtools.process import free_port

ENTRY_PORT, RELAY_PORT = 443, 7444
ROLES = {"entry-1": "entry-node", "relay-1": "relay-node", "relay-2": "relay-node", "ssh-1": "ssh-worker",
         "ssh-2": "ssh-worker"}


class Fleet(Platform):
    libraries = ("plugins/ssh.so", "plugins/mesh.so")
    network, _nodes, targets = None, (), ()

    def make_nodes(self):
        """They come with their hosts, in start()."""

    def make_node(self, host):
        settings = {"mesh": {"listen": f"{host.address}:0"}}
        if host.name in self.ports:
            settings["services"] = [{"role": "core-mesh", "service": "mesh",
                                     "listen": f"{host.address}:{self.ports[host.name]}"}]
        return Node(self, host.name, host.prefix, **settings)

    def give_ports(self):
        """Those of the mesh, by node. On this machine's own addresses others may have the usual ones."""
        usual = {"entry-node": ENTRY_PORT, "relay-node": RELAY_PORT}
        self.ports = {name: usual[role] if self.network.separate else free_port(self.network.hosts[name].address)
                      for name, role in ROLES.items() if role in usual}

    @property
    def nodes(self):
        return self._nodes

    def roles(self, node):
        return ["core-mesh", ROLES[node.name]]

    def kind(self, node):
        return ROLES[node.name]

    def host(self, node):
        return self.network.hosts[node.name]

    def of(self, name):
        return next(n for n in self._nodes if n.name == name)

    def with_role(self, role):
        return [n for n in self._nodes if ROLES[n.name] == role]

    def start(self, steps):
        with steps.step("five hosts") as step:
            self.network = namespaces.network(ROLES)
            self.address = self.network.address
            self.give_ports()
            self._nodes = [self.make_node(host) for host in self.network.hosts.values()]
            self.node = self.of("ssh-1")
            step.detail = f"network namespaces behind {self.address}" if self.network.separate else \
                f"addresses 127.0.0.x; namespaces and firewall: absent ({self.network.reason})"
        super().start(steps)

    def close_ports(self):
        """The firewalls of the picture above."""
        def among(*roles):
            return ", ".join(self.host(n).address for n in self.nodes if ROLES[n.name] in roles)
        control = f"ip PEER {self.address} tcp FAR {self.port} accept"
        inside = f"ip PEER {{ {among('entry-node', 'relay-node')} }} accept"
        for node in self.nodes:
            self.host(node).firewall(control, *{
                "entry-node": (inside, f"ip PEER {self.address} tcp NEAR {ENTRY_PORT} accept"),
                "relay-node": (inside, f"ip PEER {{ {among('ssh-worker')} }} accept"),
                "ssh-worker": (f"ip PEER {{ {among('relay-node')} }} accept",),
            }[ROLES[node.name]], drop=True)

    def start_target(self):
        """Where nodes share this machine, one sshd is everybody's 127.0.0.1."""
        self.targets = [self.sshd]
        if self.network.separate:
            first, second = map(self.host, self.with_role("ssh-worker"))
            self.sshd.host = first
            self.targets.append(self.sshd.twin(second))
        for target in self.targets:
            target.start()

    def hosts_text(self):
        service = self.with_role("ssh-worker")[0]
        return f"""
    rapctl mesh links                            who is connected to whom, in the words of both ends
    rapctl mesh routes --to {service.name}                the ways that the entry would take, best first
    rapctl mesh trace --to SESSION               the way that a stream takes now, hop by hop

The nodes; a program of this machine runs on one with the words in front of it, such as `ip link set eth0 down` (and up):
""" + "".join(
            f"    {node.name:8} {self.host(node).address:15} agent {node.pid:<8} {' '.join(self.host(node).prefix)}\n"
            for node in self.nodes)

    def restart_ended(self):
        again = super().restart_ended()
        for target in self.targets[1:]:
            if not target.process.alive():
                target.start()
                again.append("the second sshd")
        return again

    def stop(self):
        super().stop()
        for target in self.targets[1:]:
            target.stop()
        if self.network:
            self.network.close()
