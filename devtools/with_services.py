"""Runs one command with private services beside it, and nothing left afterwards.

    /usr/bin/python3 -m devtools.with_services postgres redis sshd -- build/tests/store_pgtest

The command finds them in its environment:
    RAP_TEST_POSTGRES        libpq connection string of a superuser on an empty server
    RAP_TEST_REDIS           unix:/path, as the control plane's configuration has it
    RAP_TEST_SSHD            host:port
    RAP_TEST_SSHD_HOST_KEY   "ssh-ed25519 AAAA.."
    RAP_TEST_SSHD_USER, RAP_TEST_SSHD_KEY          a login by key (path of the private key)
    RAP_TEST_SSHD_PASSWORD_USER, RAP_TEST_SSHD_PASSWORD   a login by password; absent when not root
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from devtools import process
from devtools.postgres import Postgres
from devtools.redis import Redis
from devtools.sshd import Sshd


def start(names, folder):
    env = {}
    for name in names:
        if name == "postgres":
            server = Postgres(folder / "pg").start()
            env["RAP_TEST_POSTGRES"] = server.dsn()
        elif name == "redis":
            server = Redis(folder / "redis").start()
            env["RAP_TEST_REDIS"] = server.url
        elif name == "sshd":
            server = Sshd(folder / "sshd").start()
            env["RAP_TEST_SSHD"] = f"127.0.0.1:{server.port}"
            env["RAP_TEST_SSHD_HOST_KEY"] = server.known_host
            env["RAP_TEST_SSHD_USER"] = server.invoker
            env["RAP_TEST_SSHD_KEY"] = str(server.client_key)
            if server.has_password_user:
                env["RAP_TEST_SSHD_PASSWORD_USER"] = server.demo_user
                env["RAP_TEST_SSHD_PASSWORD"] = server.demo_password
        else:
            raise process.Failed(f"no service is called {name}; there are postgres, redis and sshd")
    return env


def main(arguments):
    if "--" not in arguments or not arguments[arguments.index("--") + 1:]:
        print(__doc__, file=sys.stderr)
        return 2
    at = arguments.index("--")
    process.exit_on_signals()
    process.become_subreaper()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="rap-"))
    try:
        env = start(arguments[:at], folder)
        return subprocess.run(arguments[at + 1:], env={**os.environ, **env}).returncode
    except process.Failed as e:
        print(f"with_services: {e}", file=sys.stderr)
        if e.log:
            print(process.tail(e.log), file=sys.stderr)
        return 1
    finally:
        process.stop_all()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
