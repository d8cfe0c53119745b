"""The hosts of `./dev up --nodes 5`: they reach each other, a cut link is one, and nothing of them stays."""

import errno
import os
import pathlib
import socket
import subprocess
import sys
import unittest
from unittest import mock

from devtools import namespaces
from devtools.build import ROOT
from devtools.namespaces import Loopback, Network, NotPermitted
from devtools.process import PATIENCE_S, wait_until

SILENCE_S = 1  # for what must not come; waiting longer would show no more


def listen(host):
    server = host.call(lambda: socket.create_server((host.address, 0)))
    return server, server.getsockname()


def reach(host, address, patience_s=PATIENCE_S):
    host.call(lambda: socket.create_connection(address, patience_s)).close()


class Namespaces(unittest.TestCase):
    def network(self):
        try:
            network = Network(("one", "two", "three"))
        except NotPermitted as e:
            self.skipTest(str(e))
        self.addCleanup(network.close)
        return network, network.hosts["one"], network.hosts["two"], network.hosts["three"]

    def test_a_cut_link_is_cut_for_both_and_for_nobody_else(self):
        _, one, two, three = self.network()
        server, address = listen(two)
        self.addCleanup(server.close)
        with one.call(lambda: socket.create_connection(address, PATIENCE_S)) as through:
            other, _ = server.accept()
            for cutter, far in ((one, two), (two, one)):
                cutter.cut(far.address)
                with self.assertRaises(TimeoutError):
                    reach(one, address, SILENCE_S)
                reach(three, address)
                cutter.mend()
                reach(one, address)
            with other:
                other.sendall(b"still here")
                self.assertEqual(through.recv(10, socket.MSG_WAITALL), b"still here")

    def test_a_firewall_lets_through_what_it_names(self):
        network, one, two, _ = self.network()
        server, address = listen(two)
        self.addCleanup(server.close)
        two.firewall(f"ip PEER {one.address} tcp NEAR {address[1]} accept", drop=True)
        reach(one, address)
        with self.assertRaises(TimeoutError):
            socket.create_connection(address, SILENCE_S)
        two.firewall()
        socket.create_connection(address, PATIENCE_S).close()

    def test_nothing_stays_of_a_killed_owner(self):
        self.network()
        code = ("import time; from devtools.namespaces import Network; n = Network(['one']);"
                "print(n.interface, n.address, flush=True); time.sleep(300)")
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True,
                              env={**os.environ, "PYTHONPATH": str(ROOT)}) as owner:
            name, address = owner.stdout.readline().split()
            interface = pathlib.Path("/sys/class/net", name)
            self.assertTrue(interface.exists())
            owner.kill()
        wait_until(lambda: not interface.exists(), "the end of the interface")
        with self.assertRaises(OSError) as caught:
            socket.create_server((address, 0))
        self.assertEqual(caught.exception.errno, errno.EADDRNOTAVAIL)

    def test_without_the_right_to_them_hosts_are_addresses(self):
        refused = mock.Mock(side_effect=NotPermitted("unshare: Operation not permitted"))
        with mock.patch.object(namespaces, "_new_namespace", refused):
            network = namespaces.network(("one", "two"))
        self.assertIsInstance(network, Loopback)
        self.assertIn("not permitted", network.reason)
        one, two = network.hosts.values()
        self.assertNotEqual(one.address, two.address)
        server, address = listen(two)
        with server:
            reach(one, address)
