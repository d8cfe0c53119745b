"""Hosts of our own on a switch of our own: network namespaces that leave nothing behind.

    this machine ── rap.. ─┐
                           ├─ a bridge in a namespace of its own ──┬─ eth0 of host 1, its own namespace
                           │                                       └─ eth0 of host 2, ..
No namespace has a name. Each is held by a descriptor of the process that made it, and by the programs that run in
it; when those are gone, however that came, the kernel takes the namespaces, and with them the bridge and every pair
of interfaces, also the end that is on this machine. Where this is not permitted there is `Loopback`: the same hosts as
addresses 127.0.0.x, with nothing between them that could be cut.
"""

import ctypes
import ipaddress
import json
import os
import secrets
import socket
import subprocess
import threading

CLONE_NEWNET = 0x40000000
PREFIX = 24
TRIES = 32          # for a piece of 10.0.0.0/8 that this machine knows no way to
CONNECT_S = 5
_libc = ctypes.CDLL(None, use_errno=True)


class NotPermitted(Exception):
    """Namespaces cannot be had here, with the reason."""


class Host:
    """`prefix` goes in front of a command that shall run there, `address` is its own."""

    def __init__(self, name, address, descriptor=None):
        self.name, self.address, self._descriptor = name, address, descriptor

    @property
    def path(self):
        return f"/proc/{os.getpid()}/fd/{self._descriptor}"

    @property
    def prefix(self):
        return [] if self._descriptor is None else ["nsenter", f"--net={self.path}", "--"]

    def call(self, function):
        """Runs `function` there, in a thread; a socket that it makes stays there."""
        if self._descriptor is None:
            return function()
        return _in_thread(lambda: (_libc.setns(self._descriptor, CLONE_NEWNET), "setns"), function)

    def firewall(self, *rules, drop=False):
        """What passes, rule by rule (nft). With `drop` the rest does not. Rules are looked at for every packet, in
        and out, with no memory of connections; what stood before goes, connections that exist stay."""
        policy = "drop" if drop else "accept"
        self._nft("table inet rap { }\ndelete table inet rap\ntable inet rap {\n" + "".join(
            f" chain {way} {{ type filter hook {way} priority 0; policy {policy}; {side} lo accept;\n"
            + "".join(f"  {rule.replace('PEER', peer).replace('NEAR', near).replace('FAR', far)}\n" for rule in rules)
            + " }\n"
            for way, side, peer, near, far in (("input", "iifname", "saddr", "dport", "sport"),
                                               ("output", "oifname", "daddr", "sport", "dport"))) + "}\n")

    def cut(self, address):
        """Drops every packet from and to `address`, without a word to anybody."""
        self._nft("add table inet cut\n" + "".join(
            f"add chain inet cut {way} {{ type filter hook {way} priority -1; }}\n"
            f"add rule inet cut {way} ip {side} {address} drop\n"
            for way, side in (("input", "saddr"), ("output", "daddr"))))

    def mend(self):
        self._nft("add table inet cut\ndelete table inet cut\n")

    def _nft(self, text):
        _run(self.prefix + ["nft", "-f", "-"], text)

    def close(self):
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


HERE = Host("here", "127.0.0.1")


class Loopback:
    """No namespaces: hosts are addresses of this machine."""

    separate = False

    def __init__(self, names, reason):
        self.reason, self.address = reason, "127.0.0.1"
        self.hosts = {name: Host(name, f"127.0.0.{11 + i}") for i, name in enumerate(names)}

    def close(self):
        pass


class Network:
    """`address` is this machine's on the network, `hosts` are by name. NotPermitted when it cannot be had."""

    separate = True

    def __init__(self, names):
        self.hosts, self._switch = {}, None
        if os.geteuid() != 0:
            raise NotPermitted("only root may make network namespaces")
        try:
            self._build(list(names))
            self._check()
        except BaseException:
            self.close()
            raise

    def _build(self, names):
        net = _free_net()
        addresses = list(net.hosts())
        self.address = str(addresses[0])
        self.interface = outside = f"rap{secrets.token_hex(4)}"
        self._switch = Host("switch", None, _new_namespace())
        _run(["ip", "link", "add", outside, "type", "veth", "peer", "name", "outside", "netns", self._switch.path])
        _run(["ip", "-batch", "-"], f"address add {self.address}/{PREFIX} dev {outside}\nlink set {outside} up\n")
        _run(self._switch.prefix + ["ip", "-batch", "-"],
             "link add switch type bridge\nlink set switch up\nlink set outside master switch up\n")
        for i, name in enumerate(names):
            host = self.hosts[name] = Host(name, str(addresses[10 + i]), _new_namespace())
            _run(self._switch.prefix + ["ip", "-batch", "-"],
                 f"link add to{i} type veth peer name eth0 netns {host.path}\nlink set to{i} master switch up\n")
            _run(host.prefix + ["ip", "-batch", "-"],
                 f"link set lo up\naddress add {host.address}/{PREFIX} dev eth0\nlink set eth0 up\n")

    def _check(self):
        """A firewall of this machine may keep the hosts from it; and theirs must be there."""
        for host in self.hosts.values():
            host.firewall()
        with socket.create_server((self.address, 0)) as server:
            port = server.getsockname()[1]
            try:
                next(iter(self.hosts.values())).call(
                    lambda: socket.create_connection((self.address, port), CONNECT_S).close())
            except OSError as e:
                raise NotPermitted(f"a namespace cannot reach this machine: {e}") from None

    def close(self):
        for host in [*self.hosts.values(), self._switch]:
            if host:
                host.close()


def network(names):
    """Namespaces where they are permitted, else loopback addresses with the reason."""
    try:
        return Network(names)
    except NotPermitted as e:
        return Loopback(names, str(e))


def reaches(address, port, patience_s=CONNECT_S):
    """Whether somebody here could connect to it."""
    try:
        socket.create_connection((address, port), patience_s).close()
    except OSError:
        return False
    return True


def _in_thread(enter, function):
    """A thread has its own network namespace, and ends with the call."""
    outcome = {}

    def body():
        try:
            status, what = enter()
            if status != 0:
                raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
            outcome["value"] = function()
        except BaseException as e:  # handed to the caller as it is
            outcome["error"] = e
    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if "error" in outcome:
        raise outcome["error"]
    return outcome["value"]


def _new_namespace():
    try:
        return _in_thread(lambda: (_libc.unshare(CLONE_NEWNET), "unshare"),
                          lambda: os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
    except OSError as e:
        raise NotPermitted(str(e)) from None


def _free_net():
    known = [ipaddress.ip_network(route["dst"], strict=False)
             for route in json.loads(_run(["ip", "-json", "-4", "route", "show", "table", "all"]))
             if route["dst"] != "default"]
    for _ in range(TRIES):
        net = ipaddress.ip_network(f"10.{secrets.randbelow(256)}.{secrets.randbelow(256)}.0/{PREFIX}")
        if not any(net.overlaps(other) for other in known):
            return net
    raise NotPermitted("no piece of 10.0.0.0/8 is free")


def _run(argv, text=None):
    done = subprocess.run(argv, input=text, capture_output=True, text=True)
    if done.returncode != 0:
        raise NotPermitted(f"{argv[0] if argv[0] != 'nsenter' else argv[3]}: {done.stderr.strip()}")
    return done.stdout
