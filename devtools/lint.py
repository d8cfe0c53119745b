"""`./dev lint [--all]`: clang-format (no change wanted) and clang-tidy over changed files, or all of them."""

import concurrent.futures
import subprocess
import sys

from devtools.build import FOLDER, ROOT, build, jobs

SOURCES = ("*.c", "*.cpp", "*.h", "*.hpp")
DATABASE = FOLDER["release"] / "tidy"


def git(*arguments):
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    return [line for line in done.stdout.splitlines() if line]


def files(everything):
    if everything:
        return git("ls-files", "--", *SOURCES)
    base = (git("merge-base", "HEAD", "origin/main") or git("merge-base", "HEAD", "main") or ["HEAD"])[0]
    changed = set(git("diff", "--name-only", "--diff-filter=d", base, "--", *SOURCES))
    changed |= set(git("ls-files", "--others", "--exclude-standard", "--", *SOURCES))
    return sorted(changed)


def tidy(path):
    done = subprocess.run(["clang-tidy-14", "-p", str(DATABASE), "--quiet", path], cwd=ROOT,
                          capture_output=True, text=True)
    return path, done.returncode, done.stdout + "\n".join(
        line for line in done.stderr.splitlines() if "error:" in line)


def main(arguments):
    if arguments not in ([], ["--all"]):
        print("usage: ./dev lint [--all]", file=sys.stderr)
        return 2
    names = files(bool(arguments))
    if not names:
        print("lint: no changed source files")
        return 0
    bad = subprocess.run(["clang-format-14", "--dry-run", "-Werror", *names], cwd=ROOT).returncode != 0
    # Generated headers (contracts) must exist before clang-tidy can parse their users.
    if not build():
        return 1
    listed = (FOLDER["release"] / "compile_commands.json").read_text()
    DATABASE.mkdir(exist_ok=True)
    # g++ compiles; clang-tidy reads the same command and refuses a flag that clang 14 does not know.
    (DATABASE / "compile_commands.json").write_text(listed.replace(" -fno-gnu-unique", ""))
    sources = [n for n in names if n.endswith(".cpp") and f"{ROOT}/{n}" in listed]
    with concurrent.futures.ThreadPoolExecutor(int(jobs())) as pool:
        for path, status, text in pool.map(tidy, sources):
            if status != 0:
                bad = True
                print(f"-- {path}\n{text.strip()}")
    print(f"lint: {len(names)} files, {'findings above' if bad else 'clean'}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
