"""rap-plugin-check names the flaw of every plugin of the zoo, and finds none in the good ones.

Run by ctest with RAP_BIN, RAP_ZOO and RAP_PLUGIN_DIR in the environment.
"""
import json
import os
import subprocess
import tempfile
import unittest

CHECK = os.path.join(os.environ["RAP_BIN"], "rap-plugin-check")
ZOO = os.environ["RAP_ZOO"]
EXAMPLES = os.environ["RAP_PLUGIN_DIR"]

# Plugin: a check that must fail, with its rule.
FLAWS = {
    "any-extension": ("P5", "extensions"),
    "any-id": ("E2", "create-unknown-id"),
    "bad-id": ("ABI", "descriptor"),
    "bad-schema": ("ABI", "config-schema"),
    "bad-schema-ref": ("ABI", "config-schema"),
    "constructor": ("P3", "process-state"),
    "constructor-thread": ("T4", "no-thread-when-mapped"),
    "crash-create": ("P6", "life"),
    "crash-input": ("M6", "session-input"),
    "exec-stack": ("P4", "elf"),
    "extra-export": ("P4", "elf"),
    "flood-emit": ("M3", "session-back-pressure"),
    "half-made": ("E2", "create-unknown-id"),
    "hang-start": ("P6", "life"),
    "hang-stop": ("P6", "life"),
    "hang-warm-up": ("P6", "life"),
    "lazy-binding": ("P4", "elf"),
    "leak-accept": ("M4", "accept-many"),
    "leak-thread": ("T4", "threads"),
    "many-adapters": ("ABI", "descriptor"),
    "no-key-frame": ("S2", "session-key-frame"),
    "pending-forever": ("S1", "session-open-close"),
    "prefix-id": ("E2", "create-similar-id"),
    "refuses-input": ("M6", "session-input"),
    "runpath": ("P4", "elf"),
    "small-size": ("ABI", "descriptor"),
    "throws": ("P6", "life"),
    "wants-too-much": ("ABI", "without-want rap.host.loop/1"),
    "wild-pointer": ("ABI", "descriptor"),
    "wrong-magic": ("ABI", "descriptor"),
    "wrong-major": ("ABI", "descriptor"),
    "wrong-thread": ("P6", "life"),
}
# Their flaw is an attempt that the sandbox must stop, or a difference to a manifest they are not given.
STOPPED = ("connect-start", "exec-start", "fork-start", "late-map", "read-files", "ungranted")
NEEDS_MANIFEST = ("extra-needed", "lying-descriptor")
# The host repairs it; worker_test sees to that.
HARMLESS = ("bad-text",)


def zoo(name):
    return os.path.join(ZOO, name + ".so")


def check(path, *options):
    done = subprocess.run([CHECK, path, "-o", "json", *options], capture_output=True, text=True)
    return done.returncode, json.loads(done.stdout)


def manifest(path, name):
    done = subprocess.run([CHECK, "manifest", path, "--product", f"plugin.zoo.{name}", "--version",
                           "1.0.0", "--seq", "7"], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


class Zoo(unittest.TestCase):
    def test_every_plugin_has_a_place_in_this_test(self):
        built = {name[:-3] for name in os.listdir(ZOO) if name.endswith(".so")}
        self.assertEqual(built, {*FLAWS, *STOPPED, *NEEDS_MANIFEST, *HARMLESS, "good", "strict-config"})

    def test_flaws_are_named(self):
        for name, (rule, check_name) in FLAWS.items():
            with self.subTest(plugin=name):
                status, report = check(zoo(name), "--level", "3", "--limit-ms", "4000",
                                       "--only", f"{check_name}")
                self.assertEqual(status, 1)
                failed = [(c["rule"], c["name"]) for c in report["checks"] if c["verdict"] == "fail"]
                self.assertIn((rule, check_name), failed)

    def test_good_plugins_pass_every_level(self):
        for path in (zoo("good"), zoo("strict-config"), os.path.join(EXAMPLES, "echo.so"), os.path.join(EXAMPLES, "echo-c.so"),
                     os.path.join(EXAMPLES, "echo-service.so"), os.path.join(EXAMPLES, "mesh.so")):
            with self.subTest(plugin=path):
                status, report = check(path, "--level", "3")
                self.assertEqual([c for c in report["checks"] if c["verdict"] == "fail"], [])
                self.assertEqual(status, 0)
                self.assertGreaterEqual(report["passed"], 20)

    def test_sandbox_stops_attempts(self):
        done = subprocess.run([CHECK, "sandbox", "-o", "json"], capture_output=True, text=True)
        if done.returncode != 0:
            self.skipTest("this host lacks layers of the sandbox: " + done.stdout)
        for name in STOPPED:
            with self.subTest(plugin=name):
                status, report = check(zoo(name), "--only", "life")
                self.assertEqual(status, 0, report)


class Manifests(unittest.TestCase):
    def test_fits_the_plugin_it_was_written_for_and_no_other(self):
        status, text, _ = manifest(zoo("good"), "good")
        self.assertEqual(status, 0)
        document = json.loads(text)
        self.assertEqual(document["release_seq"], 7)
        self.assertEqual(document["plugin"]["adapters"][0]["id"], "zoo.good")
        self.assertEqual(document["plugin"]["dt_needed"], ["libc.so.6"])
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write(text)
            file.flush()
            self.assertEqual(check(zoo("good"), "--only", "manifest", "--manifest", file.name)[0], 0)
            status, report = check(zoo("any-id"), "--only", "manifest", "--manifest", file.name)
            self.assertEqual(status, 1)
            self.assertIn("mismatch", report["checks"][0]["detail"])

    def test_edited_manifest_is_refused(self):
        document = json.loads(manifest(zoo("good"), "good")[1])
        adapter = document["plugin"]["adapters"][0]
        for key, value in (("roles", ["ssh-worker"]), ("needs", []), ("wants", []), ("share", 1),
                           ("profile", "net.client"), ("fork_safe", False), ("id", "zoo.other")):
            with self.subTest(member=key), tempfile.NamedTemporaryFile("w", suffix=".json") as file:
                edited = dict(document, plugin=dict(document["plugin"], adapters=[dict(adapter, **{key: value})]))
                json.dump(edited, file)
                file.flush()
                self.assertEqual(check(zoo("good"), "--only", "manifest", "--manifest", file.name)[0], 1)

    def test_forged_role_is_found_in_memory(self):
        document = json.loads(manifest(zoo("lying-descriptor"), "lying")[1])
        document["plugin"]["adapters"][0]["roles"] = ["zoo-worker"]
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(document, file)
            file.flush()
            status, report = check(zoo("lying-descriptor"), "--only", "manifest", "--manifest", file.name)
        self.assertEqual(status, 1)
        self.assertIn("roles", report["checks"][0]["detail"])

    def test_is_not_written_for_a_bad_plugin(self):
        for name in ("runpath", "wrong-magic", "bad-schema", "wild-pointer", "extra-export"):
            with self.subTest(plugin=name):
                status, text, why = manifest(zoo(name), name)
                self.assertEqual((status, text), (1, ""))
                self.assertTrue(why)


class NoPlugins(unittest.TestCase):
    def test_a_file_of_another_kind_is_called_so(self):
        for content in (b"hello\n", b"#!/bin/sh\nexec true\n" * 20):
            with self.subTest(content=content), tempfile.NamedTemporaryFile(suffix=".so") as file:
                file.write(content)
                file.flush()
                status, report = check(file.name)
                self.assertEqual(status, 1)
                self.assertEqual([c["detail"] for c in report["checks"]],
                                 ["malformed: this is no ELF library: the file does not begin as one"])


class Exit(unittest.TestCase):
    def test_nothing_ran_is_no_success(self):
        for wrong in ("ZZ9", "no-such-check", "T4,ZZ9"):
            done = subprocess.run([CHECK, zoo("good"), "--only", wrong], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout), (2, ""), wrong)
            self.assertIn(f"--only {wrong.split(',')[-1]}: no such rule or check; there are P4 elf,", done.stderr)
            self.assertIn(" P6 life,", done.stderr)
        done = subprocess.run([CHECK, zoo("good"), "--only", "session-input"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn("a check of level 3; add --level 3", done.stderr)
        for arguments, status in (([], 2), (["/nonexistent.so"], 1), ([os.devnull], 1),
                                  ([zoo("good"), "--level", "9"], 2)):
            done = subprocess.run([CHECK, *arguments], capture_output=True, text=True)
            self.assertEqual(done.returncode, status, arguments)


if __name__ == "__main__":
    unittest.main()
