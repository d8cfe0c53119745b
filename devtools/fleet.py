"""A platform of five nodes, each a host of its own: an entry, two relays, two that serve sessions.

    rapctl, control plane, PostgreSQL, Redis         this machine
       │
    entry-1 ── relay-1, relay-2 ── ssh-1, ssh-2      a network namespace each (devtools/namespaces.py)
Each of the last two has a real sshd of its own on its 127.0.0.1, with the same keys and port.
"""

from devtools import namespaces
from devtools.node import Node
from devtools.platform import Platform

ROLES = {"entry-1": "entry-node", "relay-1": "relay-node", "relay-2": "relay-node", "ssh-1": "ssh-worker",
         "ssh-2": "ssh-worker"}


class Fleet(Platform):
    network, _nodes, targets = None, (), ()

    def make_nodes(self):
        """They come with their hosts, in start()."""

    def make_node(self, host):
        return Node(self, host.name, host.prefix, mesh={"listen": f"{host.address}:0"})

    @property
    def nodes(self):
        return self._nodes

    def roles(self, node):
        """Those that there is a plugin for."""
        return [ROLES[node.name]] if ROLES[node.name] == "ssh-worker" else []

    def of(self, name):
        return next(n for n in self._nodes if n.name == name)

    def with_role(self, role):
        return [n for n in self._nodes if ROLES[n.name] == role]

    def start(self, steps):
        with steps.step("five hosts") as step:
            self.network = namespaces.network(ROLES)
            self.address = self.network.address
            self._nodes = [self.make_node(host) for host in self.network.hosts.values()]
            self.node = self.of("ssh-1")
            step.detail = f"network namespaces behind {self.address}" if self.network.separate else \
                f"addresses 127.0.0.x; namespaces and firewall: absent ({self.network.reason})"
        super().start(steps)

    def start_target(self):
        """Where nodes share this machine, one sshd is everybody's 127.0.0.1."""
        self.targets = [self.sshd]
        if self.network.separate:
            first, second = (self.network.hosts[n.name] for n in self.with_role("ssh-worker"))
            self.sshd.host = first
            self.targets.append(self.sshd.twin(second))
        for target in self.targets:
            target.start()

    def hosts_text(self):
        return "\nThe nodes; a program of this machine runs on one with the words in front of it:\n" + "".join(
            f"    {node.name:8} {host.address:15} agent {node.pid:<8} {' '.join(host.prefix)}\n"
            for node, host in zip(self.nodes, self.network.hosts.values()))

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
