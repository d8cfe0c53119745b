"""Kills `rap-sign publish` and `rap-sign rotate` at their durable calls, one after the other.

strace sends SIGKILL at the N-th write-like call, N = 1, 2, ... until the command finishes unharmed.
After each kill a client must still accept the repository (`rap-sign verify`), at the old or the new
version, and the same command run again must succeed.
Usage: publish_kill_sweep.py <rap-sign> [calls], calls as strace writes them. The default takes the
renames, where the state on disk changes; `write,fsync,rename,fchmod,openat` takes ten times as long.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

RAP_SIGN = sys.argv[1]
CALLS = sys.argv[2] if len(sys.argv) > 2 else 'rename'


def manifest(version, seq, artifact):
    directory = f'rel/plugin.rap.echo/{version}/'
    return json.dumps({
        'format': 1, 'product': 'plugin.rap.echo', 'version': version, 'release_seq': seq,
        'security_epoch': 0, 'built_from': '', 'plugin': {'abi_major': 1},
        'variants': [{'os': 'linux', 'arch': 'x86_64', 'libc': 'glibc', 'length': len(artifact),
                      'target': directory + 'linux-x86_64-glibc.so',
                      'sha256': hashlib.sha256(artifact).hexdigest()}]})


class Place:
    """A repository with one release; every try starts from a copy of it."""

    def __init__(self, root):
        self.root = root
        with open(f'{root}/passphrase', 'w', opener=lambda p, f: os.open(p, f, 0o600)) as f:
            f.write('sweep\n')
        with open(f'{root}/echo.so', 'wb') as f:
            f.write(b'code')
        for version, seq in (('0.1.0', 1), ('0.2.0', 2)):
            with open(f'{root}/{version}.json', 'w') as f:
                f.write(manifest(version, seq, b'code'))
        self.run('init')
        self.run(*self.publish('0.1.0'))
        for name in ('repository', 'keys'):
            shutil.copytree(f'{root}/{name}', f'{root}/{name}.first')

    def publish(self, version):
        return ('publish', '--manifest', f'{self.root}/{version}.json',
                '--artifact', f'{self.root}/echo.so', '--channel', 'current')

    def command(self, *arguments):
        return [RAP_SIGN, '--repo', f'{self.root}/repository', '--keys', f'{self.root}/keys',
                '--passphrase-file', f'{self.root}/passphrase', '--yes', '-o', 'json', *arguments]

    def run(self, *arguments):
        done = subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f'{arguments}: {done.stderr}'
        return json.loads(done.stdout)

    def reset(self):
        for name in ('repository', 'keys'):
            shutil.rmtree(f'{self.root}/{name}')
            shutil.copytree(f'{self.root}/{name}.first', f'{self.root}/{name}')

    def killed_at(self, n, arguments):
        """True when the N-th call was reached."""
        trace = ['strace', '-qq', '-f', '-e', f'trace={CALLS}', '-o', '/dev/null',
                 '-e', f'inject={CALLS}:signal=KILL:when={n}']
        done = subprocess.run(trace + self.command(*arguments), capture_output=True, timeout=60)
        assert done.returncode in (0, -9, 137), done
        return done.returncode != 0


def sweep(place, name, arguments):
    place.reset()
    old = place.run('verify')
    place.run(*arguments)
    new = place.run('verify')
    count = {'old': 0, 'new': 0, 'between': 0}
    n = 0
    while True:
        n += 1
        place.reset()
        if not place.killed_at(n, arguments):
            break
        seen = place.run('verify')
        if seen == old:
            count['old'] += 1
        elif seen == new:
            count['new'] += 1
        else:
            # A rotation: new online metadata, which the old root accepts as well.
            assert seen['root'] == old['root'] and seen['timestamp'] == new['timestamp'], seen
            count['between'] += 1
        place.run(*arguments)
        after = place.run('verify')
        assert after['timestamp'] >= new['timestamp'] and after['root'] >= new['root'], after
    assert n > 4, f'{name}: only {n} calls; is strace injecting?'
    print(f'{name}: killed at {n - 1} calls, {count}')


def main():
    root = tempfile.mkdtemp(prefix='rap-sweep-')
    try:
        place = Place(root)
        sweep(place, 'publish', place.publish('0.2.0'))
        sweep(place, 'rotate timestamp', ('rotate', 'timestamp'))
    finally:
        shutil.rmtree(root)


if __name__ == '__main__':
    main()
