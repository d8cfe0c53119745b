#!/usr/bin/env python3
"""The golden ABI: what the headers promise, one item a line.

    dump.py                 compare golden.txt and golden.xml with the headers; exit 1 on a difference
    dump.py --update        write both, to be reviewed like any other change
    dump.py --print         the text for the headers under --include
    dump.py --probe         a C file with one function for each struct

No line of golden.txt may vanish or change once major 1 is frozen. A new line is an addition; a person
accepts it with --update. Thread tags are part of the lines, and a function without one is an error.
What was added inside a struct is the business of abidiff (probe library against golden.xml): it
accepts members appended to the structs that carry `size`, and nothing else. golden.xml is that of
x86_64.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
INCLUDE = os.path.join(HERE, "..", "include")
TAGS = ("RAP_LOOP", "RAP_ANY", "RAP_WARMUP")
# Conventions of the compiler, not promises.
NOT_ABI = {"RAP_C_BEGIN", "RAP_C_END", "RAP_EXPORT", *TAGS}


class Broken(Exception):
    pass


def run(*command, text_in=None):
    done = subprocess.run(command, input=text_in, capture_output=True, text=True)
    if done.returncode != 0:
        raise Broken(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def own_lines(include):
    """The preprocessed lines that come from our headers, with macros kept and tags spelled out."""
    top = '#include "rap/ext/mesh.h"\n'
    spelled = [f"-D{tag}={tag}__" for tag in TAGS]
    text = run(os.environ.get("CC", "cc"), "-E", "-dD", "-std=c11", "-xc", "-I", include, *spelled, "-",
               text_in=top)
    mine, out = False, []
    for line in text.splitlines():
        marker = re.match(r'# \d+ "([^"]*)"', line)
        if marker:
            mine = "/rap/" in marker[1] and marker[1].startswith(include)
        elif mine and line.strip():
            out.append(line)
    return out


def statements(lines):
    """Defines as ("define", name, text), everything else split at top-level semicolons."""
    text, out = [], []
    for line in lines:
        define = re.match(r"#define (\w+)(\(.*?\))?\s*(.*)", line)
        if define:
            if define[1] not in NOT_ABI and not define[1].endswith("_H"):
                out.append(("define", define[1], " ".join(define[3].split())))
        elif not line.startswith("#"):
            text.append(line)
    depth, current = 0, ""
    for char in re.sub(r"\s+", " ", " ".join(text)):
        current += char
        depth += {"{": 1, "}": -1}.get(char, 0)
        if depth == 0 and (char == ";" or (char == "}" and "inline" in current)):
            out.append(("code", tidy(current)))
            current = ""
    if current.strip():
        raise Broken(f"not understood: {current[:80]}")
    return out


def tidy(code):
    code = " ".join(code.split())
    code = re.sub(r"\s*([(),;{}\[\]=])\s*", r"\1", code)
    return re.sub(r"\s*\*\s*", "*", code).replace(",", ", ").rstrip(";")


def split_top(text, separator):
    parts, depth, current = [], 0, ""
    for char in text:
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(char, 0)
        if char == separator and depth == 0:
            parts.append(current.strip())
            current = ""
        else:
            current += char
    return parts + ([current.strip()] if current.strip() else [])


def tagged(declaration):
    """Spells the tag first; every function pointer must carry exactly one."""
    found = re.findall(r"\b(RAP_LOOP|RAP_ANY|RAP_WARMUP)__ ?", declaration)
    plain = re.sub(r"\b(RAP_LOOP|RAP_ANY|RAP_WARMUP)__ ?", "", declaration)
    if "(*" in plain and len(found) != 1:
        raise Broken(f"a function needs exactly one thread tag: {plain}")
    return f"{found[0]} {plain}" if found else plain


def members(body):
    for declaration in split_top(body, ";"):
        names = split_top(declaration, ",")
        yield tagged(names[0])
        base = re.match(r"(.*[ *])\w+(\[.*\])?$", names[0])
        for name in names[1:]:
            yield base[1].rstrip("*") + name


def lines_of(statement):
    if statement[0] == "define":
        yield f"define {statement[1]} {statement[2]}"
        return
    code = statement[1]
    enum = re.match(r"enum ?\{(.*)\}$", code)
    struct = re.match(r"(?:typedef )?struct (\w+)\{(.*)\}\w*$", code)
    if enum:
        value = -1
        for item in split_top(enum[1], ","):
            name, _, given = item.partition("=")
            value = int(given, 0) if given else value + 1
            yield f"enum {name} {value}"
    elif struct:
        for place, member in enumerate(members(struct[2])):
            yield f"struct {struct[1]}[{place}] {member}"
    elif "static inline" in code:
        yield "inline " + code.replace("static inline ", "").split("{")[0]
    else:
        yield tagged(code)


def dump(include):
    out = []
    for statement in statements(own_lines(os.path.realpath(include))):
        out.extend(lines_of(statement))
    return sorted(set(out), key=out.index)


def structs(lines):
    return sorted({m[1] for line in lines if (m := re.match(r"struct (\w+)\[", line))})


def growable(lines):
    return sorted({m[1] for line in lines if (m := re.match(r"struct (\w+)\[0\] uint32_t size$", line))})


def probe(lines):
    text = '#include <rap/ext/mesh.h>\n'
    for name in structs(lines):
        text += (f"RAP_EXPORT void rap_abi_probe_{name}(const struct {name}*);\n"
                 f"void rap_abi_probe_{name}(const struct {name}* p) {{ (void)p; }}\n")
    return text


def build_probe(include, folder, lines):
    source, library = os.path.join(folder, "probe.c"), os.path.join(folder, "probe.so")
    with open(source, "w") as out:
        out.write(probe(lines))
    run(os.environ.get("CC", "cc"), "-std=c11", "-g", "-O0", "-fPIC", "-shared", "-gdwarf-4",
        "-fno-eliminate-unused-debug-types", "-I", include, "-o", library, source)
    return library


def make_xml(include, path, lines):
    with tempfile.TemporaryDirectory() as folder:
        run("abidw", "--no-corpus-path", "--no-comp-dir-path", "--no-show-locs", "--out-file", path,
            build_probe(include, folder, lines))


def suppressions(lines):
    """Members may be appended to these and to no others."""
    return "".join(f"[suppress_type]\n  name = {name}\n  has_data_member_inserted_at = end\n\n"
                   for name in growable(lines))


def compare_xml(include, golden, lines):
    with tempfile.TemporaryDirectory() as folder:
        ignore = os.path.join(folder, "growable.ini")
        with open(ignore, "w") as out:
            out.write(suppressions(dump_golden(golden)))
        done = subprocess.run(["abidiff", "--no-added-syms", "--suppressions", ignore,
                               golden, build_probe(include, folder, lines)],
                              capture_output=True, text=True)
    return done.returncode, done.stdout


def dump_golden(golden_xml):
    """Which structs may grow is what the golden text says, not what edited headers say."""
    with open(os.path.splitext(golden_xml)[0] + ".txt") as golden:
        return golden.read().splitlines()


def check(include, folder):
    """Differences as text, worst first; empty when there are none."""
    try:
        now = dump(include)
    except Broken as broken:
        return [str(broken)]
    golden = dump_golden(os.path.join(folder, "golden.xml"))
    out = [f"gone or changed: {line}" for line in golden if line not in now]
    code, report = compare_xml(include, os.path.join(folder, "golden.xml"), now)
    if code:
        out.append(f"abidiff exit {code}:\n{report}")
    out += [f"added: {line}" for line in now if line not in golden]
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--include", default=INCLUDE)
    parser.add_argument("--golden", default=HERE, help="folder of golden.txt and golden.xml")
    action = parser.add_mutually_exclusive_group()
    for name in ("update", "print", "probe"):
        action.add_argument(f"--{name}", action="store_true")
    options = parser.parse_args()
    try:
        if options.update:
            lines = dump(options.include)
            with open(os.path.join(options.golden, "golden.txt"), "w") as out:
                out.write("\n".join(lines) + "\n")
            make_xml(options.include, os.path.join(options.golden, "golden.xml"), lines)
            return 0
        if options.print or options.probe:
            lines = dump(options.include)
            print(probe(lines) if options.probe else "\n".join(lines), end="" if options.probe else "\n")
            return 0
        differences = check(options.include, options.golden)
    except Broken as broken:
        print(broken, file=sys.stderr)
        return 1
    for line in differences:
        print(line)
    if differences:
        print("The ABI changed. If it is an addition that was reviewed: plugin-api/abi/dump.py --update")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
