"""The plugin ABI does not change by accident, and plugins look as they must.

Run by ctest with CC, CXX and RAP_PLUGIN_DIR (where the built plugins are) in the environment.
"""
import glob
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
API = os.path.join(HERE, "..", "..", "plugin-api")
INCLUDE = os.path.join(API, "include")
HEADERS = ("rap/abi.h", "rap/plugin.h", "rap/ext/host.h", "rap/ext/session.h", "rap/ext/mesh.h")

spec = importlib.util.spec_from_file_location("dump", os.path.join(API, "abi", "dump.py"))
dump = importlib.util.module_from_spec(spec)
spec.loader.exec_module(dump)


def compiles(*command, source):
    done = subprocess.run([*command, "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
                           "-I", INCLUDE, "-"], input=source, capture_output=True, text=True)
    return done.returncode == 0, done.stderr


class Headers(unittest.TestCase):
    def test_each_compiles_alone(self):
        cc, cxx = os.environ.get("CC", "cc"), os.environ.get("CXX", "c++")
        for header in HEADERS:
            for command in ((cc, "-xc", "-std=c11"), (cxx, "-xc++", "-std=c++11"),
                            (cxx, "-xc++", "-std=c++20")):
                with self.subTest(header=header, command=command):
                    good, why = compiles(*command, source=f"#include <{header}>\n")
                    self.assertTrue(good, why)

    def test_wrapper_compiles_alone(self):
        for header in ("rap/rap.hpp", "rap/mesh.hpp"):
            good, why = compiles(os.environ.get("CXX", "c++"), "-xc++", "-std=c++20",
                                 source=f"#include <{header}>\n")
            self.assertTrue(good, why)

    def test_wrapper_warns_where_symbols_would_be_visible(self):
        source = ('#include <rap/rap.hpp>\nstruct X : rap::Adapter { static constexpr rap::Info info'
                  '{.id = "x", .version = "1"}; using Adapter::Adapter; };\nRAP_PLUGIN(X)\n')
        visible, _ = compiles(os.environ.get("CXX", "c++"), "-xc++", "-std=c++20", source=source)
        hidden, why = compiles(os.environ.get("CXX", "c++"), "-xc++", "-std=c++20",
                               "-fvisibility=hidden", source=source)
        self.assertFalse(visible)
        self.assertTrue(hidden, why)

    def test_sizes(self):
        with open(os.path.join(HERE, "sizes.c")) as source:
            good, why = compiles(os.environ.get("CC", "cc"), "-xc", "-std=c11", source=source.read())
        self.assertTrue(good, why)


class Golden(unittest.TestCase):
    def test_headers_are_what_was_promised(self):
        self.assertEqual(dump.check(INCLUDE, os.path.join(API, "abi")), [])

    def after(self, header, before, after):
        """The differences that one edit makes."""
        with tempfile.TemporaryDirectory() as folder:
            copy = os.path.join(folder, "include")
            shutil.copytree(INCLUDE, copy)
            path = os.path.join(copy, header)
            with open(path) as source:
                text = source.read()
            changed, count = re.subn(before, after, text, count=1)
            self.assertEqual(count, 1, before)
            with open(path, "w") as out:
                out.write(changed)
            return "\n".join(dump.check(copy, os.path.join(API, "abi")))

    def test_member_removed_from_a_table(self):
        said = self.after("rap/ext/host.h", r"RAP_LOOP rap_result \(\*unwatch\)[^;]*;", "")
        self.assertIn("gone or changed: struct rap_host_loop_1[4]", said)
        self.assertIn("abidiff exit", said)

    def test_result_codes_swapped(self):
        said = self.after("rap/abi.h", r"RAP_E_DENIED = -5(.*\n\s*)RAP_E_AUTH = -6",
                          r"RAP_E_DENIED = -6\1RAP_E_AUTH = -5")
        self.assertIn("gone or changed: enum RAP_E_DENIED -5", said)

    def test_parameter_type(self):
        said = self.after("rap/ext/session.h", r"const rap_frame\*, uint32_t count, rap_emit\*",
                          "const rap_frame*, uint64_t count, rap_emit*")
        self.assertIn("gone or changed: struct rap_host_session_1[0]", said)
        self.assertIn("abidiff exit", said)

    def test_extension_id(self):
        said = self.after("rap/ext/host.h", r'"rap.host.log/1"', '"rap.host.log/2"')
        self.assertIn('gone or changed: define RAP_HOST_LOG "rap.host.log/1"', said)

    def test_thread_tag(self):
        said = self.after("rap/ext/host.h", r"RAP_ANY rap_result \(\*post\)",
                          "RAP_LOOP rap_result (*post)")
        self.assertIn("gone or changed: struct rap_host_loop_1[0] RAP_ANY", said)

    def test_field_appended_to_a_growing_struct_is_only_an_addition(self):
        said = self.after("rap/ext/session.h", r"uint32_t dpi, reserved2;",
                          "uint32_t dpi, reserved2;\n  uint64_t more;")
        self.assertEqual(said, "added: struct rap_session_want[10] uint64_t more")

    def test_field_in_the_middle(self):
        said = self.after("rap/ext/session.h", r"(uint32_t size, reserved;\n)", r"\1  uint64_t more;\n")
        self.assertIn("gone or changed: struct rap_session_want[2]", said)
        self.assertIn("abidiff exit", said)

    def test_growth_of_a_frozen_struct(self):
        said = self.after("rap/ext/session.h", r"uint32_t arg\[2\];", "uint32_t arg[2];\n  uint64_t more;")
        self.assertNotIn("gone or changed", said)
        self.assertIn("abidiff exit", said)

    def test_comments_and_line_breaks_do_not_count(self):
        self.assertEqual(self.after("rap/ext/host.h", r"RAP_ANY rap_result \(\*post\)\(",
                                    "/* other */ RAP_ANY\n  rap_result (*post) (\n"), "")

    def test_every_function_has_a_thread_tag(self):
        for header, text in (("rap/plugin.h", r"RAP_LOOP rap_result \(\*start\)"),
                             ("rap/ext/host.h", r"RAP_LOOP (?=void \(\*rap_task_fn\))"),
                             ("rap/ext/session.h", r"RAP_LOOP (?=rap_result \(\*attach\))")):
            with self.subTest(header=header):
                said = self.after(header, text, "" if "(?=" in text else "rap_result (*start)")
                self.assertIn("needs exactly one thread tag", said)


class Plugins(unittest.TestCase):
    def test_each_exports_exactly_one_symbol(self):
        paths = glob.glob(os.path.join(os.environ["RAP_PLUGIN_DIR"], "*.so"))
        self.assertGreaterEqual({os.path.basename(path) for path in paths}, {"echo.so", "echo-c.so"})
        for path in paths:
            with self.subTest(plugin=path):
                out = subprocess.run(["nm", "-D", "--defined-only", path], capture_output=True,
                                     text=True, check=True).stdout
                self.assertEqual([line.split()[-1] for line in out.splitlines()], ["rap_plugin_v1"])

    def test_a_stranger_can_build_one(self):
        """RapPlugin.cmake, included from a project that knows nothing else of this tree."""
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(os.path.join(API, "examples", "echo-cpp", "echo.cpp"), folder)
            with open(os.path.join(folder, "CMakeLists.txt"), "w") as out:
                out.write("cmake_minimum_required(VERSION 3.25)\nproject(mine LANGUAGES C CXX)\n"
                          f"include({os.path.realpath(API)}/cmake/RapPlugin.cmake)\n"
                          "rap_add_plugin(mine SOURCES echo.cpp)\n")
            build = os.path.join(folder, "build")
            for command in (["cmake", "-S", folder, "-B", build, "-G", "Ninja"],
                            ["cmake", "--build", build]):
                done = subprocess.run(command, capture_output=True, text=True)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            out = subprocess.run(["nm", "-D", "--defined-only", f"{build}/plugins/mine.so"],
                                 capture_output=True, text=True, check=True).stdout
            self.assertEqual(out.split()[-1:], ["rap_plugin_v1"])
            self.assertEqual(len(out.splitlines()), 1)


if __name__ == "__main__":
    unittest.main()
