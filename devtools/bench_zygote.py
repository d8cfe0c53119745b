"""How fast a session worker is there: forked from the plugin's zygote, against a new process that loads the plugin.

Speaks to rap-worker as the agent does (docs/contracts/ipc.md): a listening SOCK_SEQPACKET socket as descriptor 3, the
sealed plugin as 4, a log as 5.
"""

import fcntl
import hashlib
import json
import os
import pathlib
import secrets
import socket
import subprocess
import tempfile
import time

from devtools.process import Failed

F_ADD_SEALS, SEALS = 1033, 0x1 | 0x2 | 0x4 | 0x8  # seal, shrink, grow, write
MFD_FLAGS = 0x1 | 0x2 | 0x10  # close on exec, allow sealing, executable
ANSWER_S = 20
FORK_ROUNDS, EXEC_ROUNDS = 50, 15


class Peer:
    """The agent's end of one connection."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(ANSWER_S)
        self.socket.connect(str(path))
        self.number = 0
        self.hello()

    def hello(self):
        self.call("hello", nonce=secrets.token_hex(16), fence=1, agent_version="0.1.0")

    def call(self, op, descriptors=(), **members):
        self.number += 1
        message = json.dumps({"op": op, "id": self.number, **members}).encode()
        socket.send_fds(self.socket, [message], list(descriptors))
        while True:
            data, received, _, _ = socket.recv_fds(self.socket, 65536, 4)
            for fd in received:
                os.close(fd)
            if not data:
                raise Failed(f"rap-worker closed the connection on {op}")
            answer = json.loads(data)
            if answer.get("id") == self.number and "op" not in answer:
                if not answer.get("ok"):
                    raise Failed(f"rap-worker: {op}: {answer}")
                return answer

    def close(self):
        self.socket.close()


class Zygote:
    """A rap-worker with the plugin loaded."""

    def __init__(self, worker, sealed, facts, manifest, folder, log):
        self.folder = folder
        path = folder / f"{secrets.token_hex(4)}.sock"
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listening.bind(str(path))
        listening.listen(4)

        def place():  # in the child: 3, 4 and 5 are the contract
            # Out of the way first, so that no number is overwritten before it is used.
            for target, fd in ((3, fcntl.fcntl(listening.fileno(), fcntl.F_DUPFD, 64)),
                               (4, fcntl.fcntl(sealed, fcntl.F_DUPFD, 64)),
                               (5, fcntl.fcntl(log.fileno(), fcntl.F_DUPFD, 64))):
                os.dup2(fd, target, inheritable=True)
                os.close(fd)

        self.process = subprocess.Popen([str(worker), "--instance", "bench"], stdin=subprocess.DEVNULL, stdout=log,
                                        stderr=log, close_fds=False, preexec_fn=place)
        listening.close()
        self.peer = Peer(path)
        adapter = manifest["plugin"]["adapters"][0]
        self.peer.call("load", sha256=facts["sha256"], length=facts["length"], adapter=adapter["id"],
                       manifest=manifest, grants=adapter["needs"] + adapter["wants"],
                       organization="org_00000000000000000000000000", config={}, mode="session")

    def fork(self):
        """A session worker that answers; (milliseconds, its connection, private kB)."""
        path = self.folder / f"{secrets.token_hex(4)}.sock"
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listening.bind(str(path))
        listening.listen(4)
        began = time.perf_counter()
        self.peer.call("fork", [listening.fileno()], session="ses_" + secrets.token_hex(13))
        session = Peer(path)
        took = (time.perf_counter() - began) * 1000
        listening.close()
        return took, session

    def close(self):
        self.peer.close()
        self.process.kill()
        self.process.wait()


def seal(plugin):
    data = pathlib.Path(plugin).read_bytes()
    fd = os.memfd_create("plugin", MFD_FLAGS)
    os.write(fd, data)
    fcntl.fcntl(fd, F_ADD_SEALS, SEALS)
    return fd, {"length": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def measure(binaries, plugin, product):
    """{"fork_ms": [..], "exec_ms": [..]}"""
    with tempfile.TemporaryDirectory(prefix="rap-zygote-") as text:
        folder = pathlib.Path(text)
        manifest_file = folder / "manifest.json"
        done = subprocess.run([binaries / "rap-plugin-check", "manifest", plugin, "--product", product, "--version",
                               "0.1.0", "--seq", "1", "--out", manifest_file], capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(f"rap-plugin-check: {done.stderr.strip()}")
        manifest = json.loads(manifest_file.read_text())
        sealed, facts = seal(plugin)
        forks, execs = [], []
        with open(folder / "log", "ab") as log:
            zygote = Zygote(binaries / "rap-worker", sealed, facts, manifest, folder, log)
            try:
                for _ in range(FORK_ROUNDS):
                    took, session = zygote.fork()
                    forks.append(took)
                    session.close()
                for _ in range(EXEC_ROUNDS):
                    began = time.perf_counter()
                    other = Zygote(binaries / "rap-worker", sealed, facts, manifest, folder, log)
                    execs.append((time.perf_counter() - began) * 1000)
                    other.close()
            except (OSError, Failed) as e:
                raise Failed(f"{e}; its log ends: {(folder / 'log').read_text()[-300:]}") from None
            finally:
                zygote.close()
                os.close(sealed)
        return {"fork_ms": forks, "exec_ms": execs}
