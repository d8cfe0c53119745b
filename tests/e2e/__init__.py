"""The whole platform under test.

Orphans of what a test starts (workers outlive their agent by design) come to this process and end with it, whoever
runs the tests: `./dev test`, or `python3 -m unittest tests.e2e.test_story`. See devtools/process.py, stop_all.
"""

from devtools import process

process.become_subreaper()
