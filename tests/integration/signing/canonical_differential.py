"""Compares our canonical JSON with securesystemslib's (Debian: python3-securesystemslib).

Random documents from a fixed seed; every one must have the same canonical bytes in both, and what
has no canonical form must be refused by both. Usage: canonical_differential.py <canonical_main>
"""

import json
import random
import subprocess
import sys

from securesystemslib.formats import encode_canonical

DOCUMENTS = 20000
ALPHABET = ['a', 'Z', '0', ' ', '"', '\\', '/', '\n', '\t', '\b', '\x00', '\x01', '\x1f', '\x7f',
            '\x80', 'é', '\u2028', '\ud7ff', '\ue000', '\uffff', '\U00010000', '\U0010ffff']


def text(rnd):
    return ''.join(rnd.choice(ALPHABET) for _ in range(rnd.randrange(8)))


def number(rnd):
    return rnd.choice([0, -1, rnd.randrange(-100, 100), 2**53, 2**63 - 1, -2**63, 2**64 - 1])


def document(rnd, depth):
    kind = rnd.randrange(8 if depth else 5)
    if kind == 0:
        return rnd.choice([None, True, False])
    if kind <= 2:
        return number(rnd)
    if kind <= 4:
        return text(rnd)
    if kind <= 5:
        return [document(rnd, depth - 1) for _ in range(rnd.randrange(5))]
    return {text(rnd): document(rnd, depth - 1) for _ in range(rnd.randrange(6))}


def expected(value):
    return encode_canonical(value).encode('utf-8').hex()


def main():
    rnd = random.Random(20261121)
    values = [document(rnd, 5) for _ in range(DOCUMENTS)]
    lines = [json.dumps(v, ensure_ascii=rnd.random() < 0.5) for v in values]
    wanted = [expected(v) for v in values]
    for line in ['1.5', '[1e3]', '{"a":-0.5}', 'NaN', '01', '[1,]', '"\\ud800"', '{"a":1']:
        lines.append(line)
        wanted.append('refused')
    run = subprocess.run([sys.argv[1]], input='\n'.join(lines) + '\n', encoding='utf-8',
                         capture_output=True, timeout=100, check=True)
    got = run.stdout.splitlines()
    assert len(got) == len(wanted), f'{len(got)} answers to {len(wanted)} documents'
    wrong = [i for i in range(len(got)) if got[i] != wanted[i]]
    for i in wrong[:10]:
        print(f'{lines[i]}\n  ours      {got[i]}\n  reference {wanted[i]}')
    print(f'{len(got)} documents, {len(wrong)} different')
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
