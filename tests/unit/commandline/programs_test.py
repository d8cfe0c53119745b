"""What a person who types sees, from the programs themselves: examples in every help, mistyped words named, one form
of `version`, and manuals that say the same."""

import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from devtools.process import PATIENCE_S

BIN = pathlib.Path(os.environ["RAP_BIN_DIR"])
MAN = pathlib.Path(__file__).resolve().parents[3] / "docs/man"
TOOLS = ("rapctl", "rap-sign", "rap-plugin-check", "rap-node-agent", "rap-control-plane")


def run(program, *words, **more):
    return subprocess.run([BIN / program, *words], capture_output=True, text=True, timeout=PATIENCE_S, **more)


def commands_in(help_text):
    """Names under "Subcommands:"; what belongs to one stands deeper than its name."""
    _, _, rest = help_text.partition("\nSubcommands:\n")
    out = []
    for line in rest.splitlines():
        if not line.startswith(" "):
            break
        if match := re.match(r"  ([a-z][a-z-]*)( |$)", line):
            out.append(match.group(1))
    return out


def walk(program, *words):
    """(words, help) of a program and of everything below it."""
    done = run(program, *words, "--help")
    yield words, done
    for name in commands_in(done.stdout):
        yield from walk(program, *words, name)


class Help(unittest.TestCase):
    def test_every_command_has_examples_that_are_of_that_command(self):
        for program, at_least in zip(TOOLS, (50, 14, 4, 8, 6)):
            seen = 0
            for words, done in walk(program):
                with self.subTest(command=" ".join((program, *words))):
                    seen += 1
                    self.assertEqual(done.returncode, 0, done.stderr)
                    _, found, examples = done.stdout.partition("\nExamples:\n")
                    self.assertTrue(found, "no examples")
                    self.assertIn(" ".join((program, *words)), examples)
            self.assertGreaterEqual(seen, at_least, program)

    def test_a_mistyped_command_is_named_with_the_one_that_was_meant(self):
        for program, wrong, right in (("rapctl", "sesion", "session"), ("rap-sign", "pubish", "publish"),
                                      ("rap-node-agent", "statsu", "status"), ("rap-control-plane", "srve", "serve"),
                                      ("rap-tuf-client", "refrsh", "refresh")):
            with self.subTest(program=program):
                done = run(program, wrong)
                self.assertEqual(done.returncode, 2)
                self.assertIn(f"{program}: unknown command '{program} {wrong}'; did you mean '{program} {right}'?",
                              done.stderr)
        done = run("rap-plugin-check", "sandbx")
        self.assertEqual(done.returncode, 2)
        self.assertIn("no file 'sandbx'; did you mean the command 'sandbox'?", done.stderr)
        for words, said in ((("organization", "create", "globex"), "'globex' of 'rapctl organization create'"),
                            (("user", "disable", "ada", "--reason", "gone", "eve"), "'eve' of 'rapctl user disable'")):
            done = run("rapctl", *words)
            self.assertEqual((done.returncode, done.stderr),
                             (2, f"rapctl: unexpected argument {said}\n  run with --help\n"))
        done = run("rapctl", "session", "list", "--stat", "active")
        self.assertIn("unknown flag '--stat' of 'rapctl session list'; did you mean '--state'?", done.stderr)

    def test_version_has_one_form(self):
        for program in (*TOOLS, "rap-tuf-client", "rap-worker", "rap-mesh-listener"):
            for word in ("version", "--version"):
                with self.subTest(program=program, word=word):
                    done = run(program, word)
                    self.assertEqual((done.returncode, done.stdout), (0, f"{program} {os.environ['RAP_VERSION']}\n"))
        for program in ("rapctl", "rap-sign", "rap-plugin-check", "rap-node-agent"):
            self.assertEqual(json.loads(run(program, "version", "-o", "json").stdout),
                             {"version": os.environ["RAP_VERSION"]}, program)


class ExitStatus(unittest.TestCase):
    """2 is a command line that cannot be meant, wherever it is seen to be wrong."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "token").write_text("rapses1.x")
        (self.folder / "token").chmod(0o600)
        made = subprocess.run(["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=x", "-keyout",
                               self.folder / "key", "-out", self.folder / "ca.pem"], capture_output=True)
        self.assertEqual(made.returncode, 0, made.stderr)

    def rapctl(self, *words):
        return run("rapctl", "--server", "https://127.0.0.1:1", "--ca-file", self.folder / "ca.pem", *words,
                   stdin=subprocess.DEVNULL,
                   env={"RAP_CONFIG_DIR": str(self.folder), "RAP_TOKEN_FILE": str(self.folder / "token")})

    def test_of_values_and_files_that_cannot_be_used(self):
        create = ("resource", "create", "--name", "n", "--cluster", "cls_" + "0" * 26, "--target")
        for words, said in (
                ((*create, "127.0.0.1"), "--target '127.0.0.1': not of the form host:port"),
                ((*create, ":0"), "--target ':0'"),
                ((*create, "h:22", "--options", "{bad"), "--options: "),
                ((*create, "h:22", "--options", "[]"), "--options: want a JSON object"),
                ((*create, "h:22", "--options", "@/nofile"), "--options: /nofile: "),
                (("secret", "put", "n", "--from-file", "/nofile"), "/nofile: No such file"),
                (("cluster", "root", "import", "/nofile"), "/nofile: "),
                (("cluster", "root", "import", self.folder / "ca.pem"), "ca.pem: ")):
            with self.subTest(words=words):
                done = self.rapctl(*words)
                self.assertIn(said, done.stderr)
                self.assertEqual(done.returncode, 2, done.stderr)
        done = run("rapctl", "--server", "https://127.0.0.1:1", "--ca-file", "/nofile", "whoami")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("--ca-file /nofile: ", done.stderr)

    def test_of_the_client_of_repositories(self):
        """The conformance suite knows 0 and 1, of command lines that are right."""
        for words, said in ((("refresh",), "want --metadata-dir"),
                            (("--metadata-dir", self.folder, "refresh"), "want --metadata-url"),
                            (("--metadata-dir", self.folder, "init"), "root is required")):
            done = run("rap-tuf-client", *words)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(said, done.stderr)
        done = run("rap-tuf-client", "--metadata-dir", self.folder, "init", "/nofile")
        self.assertEqual(done.returncode, 1, done.stderr)

    def test_of_the_checker(self):
        plugin = self.folder / "no.so"
        plugin.write_text("no ELF")
        manifest = ("manifest", plugin, "--seq", "1")
        for words, said in (((plugin, "--session-options", "[]"), "--session-options: want a JSON object"),
                            ((*manifest, "--product", "acme", "--version", "1"), "--product 'acme': want plugin."),
                            ((*manifest, "--product", "plugin.a.b", "--version", "1/2"), "--version '1/2': want")):
            done = run("rap-plugin-check", *words)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(said, done.stderr)
        done = run("rap-plugin-check", plugin, "--level", "1")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("FAIL", done.stdout)
        self.assertNotIn("/proc/", done.stdout + done.stderr)

    def test_of_an_output_that_takes_nothing(self):
        for program in ("rapctl", "rap-sign", "rap-plugin-check", "rap-tuf-client"):
            with self.subTest(program=program), open("/dev/full", "w") as full:
                done = subprocess.run([BIN / program, "--help"], stdout=full, stderr=subprocess.PIPE, text=True,
                                      timeout=PATIENCE_S)
                self.assertEqual((done.returncode, done.stderr),
                                 (1, f"{program}: standard output takes no more: No space left on device\n"))
                reader, writer = os.pipe()
                os.close(reader)
                done = subprocess.run([BIN / program, "--help"], stdout=writer, stderr=subprocess.PIPE, text=True,
                                      timeout=PATIENCE_S)
                os.close(writer)
                self.assertEqual((done.returncode, done.stderr),
                                 (1, f"{program}: standard output takes no more: Broken pipe\n"))
                done = subprocess.run(["sh", "-c", f"'{BIN}/{program}' --help >&-"], stderr=subprocess.PIPE, text=True,
                                      timeout=PATIENCE_S)
                self.assertEqual((done.returncode, done.stderr),
                                 (1, f"{program}: standard output takes no more: Bad file descriptor\n"))

    def test_of_a_server_that_is_not_there(self):
        for words in (("whoami",), ("login", "--login", "x", "--password-file", self.folder / "token")):
            done = self.rapctl(*words)
            self.assertEqual(done.returncode, 7, done.stderr)
            self.assertIn("https://127.0.0.1:1: connect: Connection refused", done.stderr)
        for server, said in (("https://127.0.0.1:1", "connect: Connection refused"),
                             ("https://no.such.host.invalid:1", "resolve no.such.host.invalid: ")):
            done = run("rapctl", "login", "--server", server, stdin=subprocess.DEVNULL,
                       env={"RAP_CONFIG_DIR": str(self.folder)})
            self.assertEqual(done.returncode, 7, done.stderr)
            self.assertIn(f"{server}: {said}", done.stderr)
            self.assertNotIn("BIO", done.stderr)


class Manuals(unittest.TestCase):
    def test_they_are_well_formed_and_name_every_command(self):
        for program, section in (("rapctl", 1), ("rap-sign", 1), ("rap-plugin-check", 1), ("rap-node-agent", 8),
                                 ("rap-control-plane", 8)):
            with self.subTest(program=program):
                page = MAN / f"{program}.{section}"
                text = page.read_text().replace("\\-", "-")
                self.assertIn(f'"RAP {os.environ["RAP_VERSION"]}"', text.splitlines()[0])
                self.assertIn(".SH EXIT STATUS", text)
                if program != "rapctl":  # it has too many; --help-all shows them
                    for words, _ in walk(program):
                        self.assertIn(words[-1] if words else program, text)


class Completion(unittest.TestCase):
    """As bash does it; where there is no login the names are missing and nothing else."""

    def offered(self, *words):
        with tempfile.TemporaryDirectory() as empty:
            script = (f'source <("{BIN}/rapctl" completion bash); PATH="{BIN}:$PATH"; COMP_WORDS=("$@");'
                      'COMP_CWORD=$(($# - 1)); _rapctl; printf "%s\\n" "${COMPREPLY[@]}"')
            done = subprocess.run(["bash", "-c", script, "bash", "rapctl", *words], capture_output=True, text=True,
                                  timeout=PATIENCE_S, env={"PATH": os.environ["PATH"], "RAP_CONFIG_DIR": empty})
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    def test_commands_flags_and_values_wherever_the_output_is_named(self):
        self.assertEqual(self.offered("sess"), ["session"])
        self.assertEqual(self.offered("session", "att"), ["attach"])
        self.assertEqual(self.offered("-o", "json", "session", "att"), ["attach"])
        self.assertEqual(self.offered("session", "-o", "json", "att"), ["attach"])
        self.assertEqual(self.offered("session", "list", "-o", ""), ["json", "table"])
        self.assertEqual(self.offered("session", "list", "--state", "d"), ["detached"])
        self.assertEqual(self.offered("membership", "add", "--role", ""), ["admin", "member"])
        self.assertEqual(self.offered("role", "assign", "ssh"), ["ssh-worker"])
        self.assertIn("--options", self.offered("resource", "create", "--o"))
        self.assertNotIn("complete", self.offered("comp"))

    def test_names_need_a_login_and_are_missing_without(self):
        self.assertEqual(self.offered("resource", "show", ""), [])

    def test_files_are_offered_for_files_only(self):
        """In a real bash and a real zsh, with the Tab key: names of things are not the files that lie here."""
        for shell, setup in (("bash", f'source <("{BIN}/rapctl" completion bash)'),
                             ("zsh", f'autoload -U compinit; compinit -D; source <("{BIN}/rapctl" completion zsh)')):
            if not shutil.which(shell):
                continue
            with self.subTest(shell=shell), tempfile.TemporaryDirectory() as folder:
                pathlib.Path(folder, "sesame.txt").touch()
                self.assertIn("<rapctl session", self.typed(shell, setup, folder, "rapctl sess\t"))
                self.assertIn("sesame.txt", self.typed(shell, setup, folder, "rapctl secret put n --from-file se\t"))
                self.assertIn("sesame.txt", self.typed(shell, setup, folder, "rapctl cluster root import se\t"))
                self.assertNotIn("sesame.txt", self.typed(shell, setup, folder, "rapctl session attach se\t"))
                self.assertNotIn("sesame.txt", self.typed(shell, setup, folder, "rapctl user disable se\t"))

    @staticmethod
    def typed(shell, setup, folder, keys):
        """What the line is after `keys`: it is made the argument of an echo."""
        pid, fd = pty.fork()
        if pid == 0:
            os.chdir(folder)
            os.execvpe(shell, [shell, *(("--norc", "--noprofile") if shell == "bash" else ("-f",)), "-i"],
                       {"PATH": f"{BIN}:{os.environ['PATH']}", "RAP_CONFIG_DIR": folder, "HOME": folder, "TERM": "dumb",
                        "PS1": "$ "})
        seen = b""

        def until(mark):
            nonlocal seen
            end = time.monotonic() + PATIENCE_S
            while mark not in seen and time.monotonic() < end and select.select([fd], [], [], PATIENCE_S)[0]:
                seen += os.read(fd, 4096)
            return seen

        try:
            os.write(fd, setup.encode() + b"; echo rea''dy\n")
            until(b"ready\r\n")
            seen = b""
            os.write(fd, keys.encode())
            time.sleep(2.5)  # longer than completion may take
            os.write(fd, b"\x01echo '<\x05>'\n")
            return until(b">\r\n").decode(errors="replace")
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(fd)

    def test_the_scripts_use_no_name_that_a_shell_keeps_for_itself(self):
        for shell in ("bash", "zsh"):
            script = run("rapctl", "completion", shell).stdout
            self.assertIsNone(re.search(r"\blocal\b[^\n]*\b(path|PATH|status|fpath|cdpath|options)\b", script), script)
        self.assertEqual(subprocess.run(["bash", "-n"], input=run("rapctl", "completion", "bash").stdout,
                                        text=True).returncode, 0)


class WithoutATerminal(unittest.TestCase):
    def test_what_a_person_would_be_asked_is_said(self):
        with tempfile.TemporaryDirectory() as empty:
            here = dict(stdin=subprocess.DEVNULL, start_new_session=True,
                        env={"PATH": os.environ["PATH"], "RAP_CONFIG_DIR": empty})
            done = run("rapctl", "totp", "enroll", **here)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn("by a person at a terminal", done.stderr)
            done = run("rapctl", "user", "create", "--login", "ada", **here)
            self.assertEqual(done.returncode, 2)
            self.assertIn("there is no terminal", done.stderr)
            self.assertIn("the command with --help lists them", done.stderr)


class ConfigValidate(unittest.TestCase):
    def test_says_which_files_it_looked_at(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "agent.yaml")
            done = run("rap-node-agent", "config", "validate", file)
            self.assertEqual(done.returncode, 1)
            self.assertIn(str(file), done.stderr)
            file.write_text(f"state_dir: {folder}/state\n")
            drop_in = pathlib.Path(folder, "agent.d", "10.yaml")
            drop_in.parent.mkdir()
            drop_in.write_text("log_level: warn\n")
            done = run("rap-node-agent", "config", "validate", file)
            self.assertEqual((done.returncode, done.stdout), (0, f"valid: {file}\nvalid: {drop_in}\n"))
            answer = json.loads(run("rap-node-agent", "config", "validate", file, "-o", "json").stdout)
            missing = answer.pop("missing_to_run")
            self.assertEqual(answer, {"valid": True, "files": [str(file), str(drop_in)], "problems": []})
            self.assertEqual(done.stderr, missing + "\n")
            self.assertIn(f"this host is not enrolled ({folder}/state/identity.json does not exist)", missing)
            self.assertIn("enroll --server URL --token-file", missing)

    def test_names_everything_that_is_wrong_with_its_file(self):
        with tempfile.TemporaryDirectory() as folder:
            file, drop_in = pathlib.Path(folder, "agent.yaml"), pathlib.Path(folder, "agent.d", "10.yaml")
            drop_in.parent.mkdir()
            file.write_text("server: x\nmesh: {listen: '127.0.0.1:99999', listne: 1}\n"
                            "heartbeat: {min_interval_ms: 60000}\n")
            drop_in.write_text("limits: {sessions_max: 0}\nheartbeat: {max_interval_ms: 1000}\n")
            done = run("rap-node-agent", "config", "validate", file)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            lines = done.stderr.splitlines()
            self.assertEqual(sorted(line.replace(f"{file}: ", "").replace(f"{drop_in}: ", "").partition(": ")[0]
                                    for line in lines),
                             ["/heartbeat/min_interval_ms", "/limits/sessions_max", "/mesh/listen", "/mesh/listne",
                              "/server"])
            self.assertTrue(all(line.startswith(f"{file}: ") for line in lines[:3]), lines)
            self.assertTrue(lines[3].startswith(f"{drop_in}: "), lines)
            drop_in.write_text("a: [\n")
            done = run("rap-node-agent", "config", "validate", file)  # the others are named all the same
            self.assertIn(f"{drop_in}:", done.stderr)
            self.assertIn(f"{file}: /server: ", done.stderr)

    @unittest.skipIf(pathlib.Path("/etc/rap").exists(), "this host is a node")
    def test_without_a_file_it_says_which_one_is_missing(self):
        done = run("rap-node-agent", "config", "validate")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("/etc/rap/agent.yaml: there is no such file", done.stderr)


if __name__ == "__main__":
    unittest.main()
