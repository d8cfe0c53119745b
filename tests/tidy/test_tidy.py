"""The few rules of this code base that a machine can judge. Each failure names the file and says what to do."""

import hashlib
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LINES_MAX = 500  # a file longer than this hides its idea; split it
HEAVY = {"boost/json.hpp": "boost/json/fwd.hpp", "boost/asio.hpp": "the one Asio header that is used",
         "boost/asio/ssl.hpp": "base/net/tls.hpp", "boost/beast.hpp": "base/net/http.hpp",
         "gtest/gtest.h": "a .cpp file", "yaml-cpp/yaml.h": "a .cpp file", "CLI/CLI.hpp": "a .cpp file"}
HEAVY_PREFIX = {"boost/beast/": "base/net/http.hpp", "pqxx/": "controlplane/db", "boost/asio/ssl/": "base/net/tls.hpp"}
# docs/architecture.md, "Folders": who may include whom, beside itself.
MAY_INCLUDE = {
    "base": set(),
    "contracts": {"base"},
    "plugin-api": set(),
    "signing": {"base"},
    "fabric": {"base", "signing", "contracts"},
    "host": {"base", "plugin-api", "signing", "fabric", "contracts"},
    "plugins": {"plugin-api", "rap"},
    "plugins/mesh": {"base", "fabric", "plugin-api", "plugins", "rap"},
    "controlplane": {"base", "signing", "fabric", "contracts"},
    "cli": {"base", "fabric", "contracts"},
}
MACHINE_PATH = re.compile(r"(?<![\w.$}])/(?:home/(?!demo\b|user\b)\w|root/\w|work/\w|tmp/w/)")


def tracked(*patterns):
    out = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *patterns],
                         cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in out.split("\0") if name and (ROOT / name).is_file()]


def relative(path):
    return str(path.relative_to(ROOT))


def without_comments_and_strings(text):
    """The same text with comments and literals blanked; line numbers stay."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
    return pattern.sub(lambda m: '""' + "\n" * m.group(0).count("\n"), text)


def awaited(text):
    """(line, expression) of every co_await up to the end of its operand."""
    for match in re.finditer(r"\bco_await\b", text):
        depth, end = 0, match.end()
        while end < len(text):
            c = text[end]
            if c in "([{":
                depth += 1
            elif c in ")]}":
                depth -= 1
                if depth < 0:
                    break
            elif c == ";" and depth == 0:
                break
            end += 1
        yield text.count("\n", 0, match.start()) + 1, text[match.end():end]


class Tidy(unittest.TestCase):
    def assertNone(self, found, what):
        self.assertFalse(found, what + ":\n  " + "\n  ".join(found[:40]))

    def test_no_temporaries_that_gcc12_destroys_twice(self):
        """g++ 12 destroys a capturing lambda or a braced aggregate inside co_await twice: name it first."""
        found = []
        for path in tracked("*.cpp", "*.hpp"):
            for line, expression in awaited(without_comments_and_strings(path.read_text())):
                if re.search(r"[(,]\s*\[\s*[^\]\s][^\]]*\]\s*[({]", expression):
                    found.append(f"{relative(path)}:{line}: capturing lambda")
                if re.search(r"[(,]\s*(?:[\w:]+(?:<[^<>]*>)?\s*)?\{\s*[^}\s]", expression):
                    found.append(f"{relative(path)}:{line}: braced initialiser")
        self.assertNone(found, "name it before co_await (docs/style.md)")

    def test_headers_are_light(self):
        found = []
        for path in tracked("*.hpp", "*.h"):
            if relative(path).startswith("tests/"):
                continue
            for name in re.findall(r"^\s*#\s*include\s*<([^>]+)>", path.read_text(), re.M):
                instead = HEAVY.get(name) or next((v for k, v in HEAVY_PREFIX.items() if name.startswith(k)), None)
                if instead:
                    found.append(f"{relative(path)}: <{name}>; use {instead}")
        self.assertNone(found, "heavy include in a header")

    def test_folders_include_only_lower_layers(self):
        found = []
        for path in tracked("*.cpp", "*.hpp", "*.h", "*.c"):
            top = relative(path).split("/")[0]
            if top not in MAY_INCLUDE:
                continue
            two = "/".join(relative(path).split("/")[:2])
            top = two if two in MAY_INCLUDE else top
            for name in re.findall(r'^\s*#\s*include\s*"([^"]+)"', path.read_text(), re.M):
                other = name.split("/")[0]
                if "/" in name and other in MAY_INCLUDE and other != top and other not in MAY_INCLUDE[top]:
                    found.append(f"{relative(path)} includes {name}")
        self.assertNone(found, "an include against docs/architecture.md")

    def test_migrations_are_numbered_and_unedited(self):
        """A migration that was released is never edited; tests/tidy/migrations.sha256 lists the released ones."""
        folder = ROOT / "controlplane" / "migrations"
        names = sorted(p.name for p in folder.glob("*.sql"))
        self.assertEqual([int(n[:4]) for n in names], list(range(1, len(names) + 1)))
        for line in (ROOT / "tests/tidy/migrations.sha256").read_text().splitlines():
            digest, name = line.split()
            self.assertEqual(hashlib.sha256((folder / name).read_bytes()).hexdigest(), digest,
                             f"{name} was released: add a new migration instead of editing it")

    def test_no_path_of_one_machine(self):
        found = []
        for path in tracked():
            try:
                text = path.read_text()
            except UnicodeDecodeError:
                continue
            for number, line in enumerate(text.splitlines(), 1):
                if MACHINE_PATH.search(line) and "MACHINE_PATH" not in line:
                    found.append(f"{relative(path)}:{number}: {line.strip()[:80]}")
        self.assertNone(found, "a path that exists on one machine only")

    def test_files_stay_readable(self):
        found = [f"{relative(p)}: {n} lines" for p in tracked("*.cpp", "*.hpp", "*.h", "*.c", "*.py")
                 for n in [p.read_text().count("\n")] if n > LINES_MAX]
        self.assertNone(found, f"more than {LINES_MAX} lines: split it")

    def test_sources_are_formatted(self):
        done = subprocess.run(["clang-format-14", "--dry-run", "-Werror",
                               *map(str, tracked("*.cpp", "*.hpp", "*.h", "*.c"))], capture_output=True, text=True)
        found = sorted({line.split(":")[0] for line in done.stderr.splitlines() if ": error:" in line})
        self.assertNone([f.removeprefix(f"{ROOT}/") for f in found], "not formatted: ./dev fmt")

    def test_every_package_has_its_reason(self):
        names = set()
        lists = [(ROOT / "devtools" / name).read_text() for name in ("packages.txt", "packages-bench.txt")]
        for line in "\n".join(lists).splitlines():
            if line.strip() and not line.startswith("#"):
                name, _, reason = line.partition(" ")
                self.assertRegex(name, r"^[a-z0-9][a-z0-9.+-]+$")
                self.assertGreater(len(reason.strip()), 10, name)
                self.assertNotIn(name, names)
                names.add(name)

    def test_the_table_of_bad_input_names_tests_that_exist(self):
        text = (ROOT / "docs/bad-input.md").read_text()
        named = re.findall(r"`([\w/]+\.(?:py|cpp))::(\w+)\.(\w+)`", text)
        self.assertGreater(len(named), 50)
        missing = []
        for file, group, name in named:
            path = ROOT / "tests" / file
            source = path.read_text() if path.is_file() else ""
            wanted = (rf"^class {group}\b[\s\S]*^    def {name}\(" if file.endswith(".py")
                      else rf"^TEST(_F|_P)?\({group}, {name}\)")
            if not re.search(wanted, source, re.M):
                missing.append(f"{file}::{group}.{name}")
        self.assertNone(missing, "docs/bad-input.md names tests that are not there")

    def test_examples_name_the_default_ports(self):
        """A person copies them: the control plane and the mesh have one port each, the ones in the programs."""
        control = re.search(r'listen\{"127\.0\.0\.1", (\d+)\}', (ROOT / "controlplane/config/config.hpp").read_text())[1]
        mesh = re.search(r'mesh_listen = "0\.0\.0\.0:(\d+)"', (ROOT / "host/agent/config/config.hpp").read_text())[1]
        found = []
        for path in tracked("README.md", "docs/*", "contracts/*", "cli/*", "host/*", "controlplane/*", "fabric/*"):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                for url, port in re.findall(r"(https://)?[\w.-]*[a-z\d]:(\d{4})\b(?!-)", line):
                    near = re.match(r"[78]4\d\d", port)  # meant to be one of the two
                    if (url and port != control) or (near and port not in (control, mesh)):
                        found.append(f"{relative(path)}:{number}: {line.strip()[:80]}")
        self.assertNone(found, f"want {control} for the control plane and {mesh} for the mesh")

    def test_no_unfinished_marks(self):
        found = []
        for path in tracked("*.cpp", "*.hpp", "*.h", "*.c", "*.py", "*.sql", "*.cmake", "*CMakeLists.txt"):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                if re.search(r"\b(TODO|FIXME|XXX)\b", line) and "re.search" not in line:
                    found.append(f"{relative(path)}:{number}: {line.strip()[:80]}")
        self.assertNone(found, "unfinished")


if __name__ == "__main__":
    unittest.main()
