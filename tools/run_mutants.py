#!/usr/bin/env python3
"""Applies each patch of test/mutants to a copy of the tree and expects its test to fail.

usage: run_mutants.py [--check] [NAME...]    NAME: part of a patch's file name; none: all of them

A patch is a unified diff (-p1) that takes one protection out of the program. Lines before the diff say
which test notices:
    Scenario: 06 equivocate-slot
    Rule: 6.4
    Test: test_shares test_equivocate_slot
Test may stand more than once: then each of them must fail. Only the named functions run, first without
the patch (they must pass), then with it. An abort and a hang count as failing and are said.
The copy is build/mutants/src, its build build/mutants/dev; both stay, so that the next run is quick.
--check builds nothing: every patch applies, every test and patch that docs/testing.md names is there, and no
rule or scenario has two rows in it.
"""
import argparse
import filecmp
import glob
import os
import re
import resource
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WORK = os.path.join(ROOT, "build", "mutants")
SOURCE = os.path.join(WORK, "src")
BUILD = os.path.join(WORK, "dev")
FILTER = os.path.join(WORK, "filter.so")
TESTING = "docs/testing.md"
MEMORY_MAX = 4 << 30  # of one test: a mutant may take a limit away
SECONDS_MIN = 60      # before a test counts as hanging, or 10 times what it takes without the patch

# Loaded before cmocka's main: runs one function of the program only.
FILTER_C = """
#include <stdlib.h>
__attribute__((weak)) void cmocka_set_test_filter(const char *pattern);
__attribute__((constructor)) static void set_filter(void)
{
    if (cmocka_set_test_filter) {
        cmocka_set_test_filter(getenv("MUTANT_TEST"));
    }
}
"""


class Mutant:
    """One patch: its name and what its first lines say."""

    def __init__(self, path):
        self.path = path
        self.name = os.path.basename(path)[:-len(".patch")]
        self.fields = {}
        self.tests = []
        with open(path, encoding="utf-8") as file:
            for line in file:
                if line.startswith(("--- ", "diff ")):
                    break
                key, _, value = line.strip().partition(": ")
                if key == "Test":
                    self.tests.append(tuple(value.split()))
                else:
                    self.fields[key] = value

    def header_error(self):
        if not self.tests or any(len(test) != 2 for test in self.tests):
            return "needs a line 'Test: PROGRAM FUNCTION'"
        if "Scenario" not in self.fields and "Rule" not in self.fields:
            return "needs a line 'Scenario:' or 'Rule:'"
        for program, function in self.tests:
            if not has_function(program, function):
                return f"no function {function} in {program}"
        return None


def run(command, **options):
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False,
                          **options)


def sources(program):
    """The files of the test programs and scripts of that name."""
    name = program if "." in program else program + ".*"
    return [path for folder in ("test/*", "test/unit/*", "test/interop/*")
            for path in glob.glob(os.path.join(ROOT, folder, name))]


def has_function(program, function):
    for path in sources(program):
        with open(path, encoding="utf-8") as file:
            if re.search(rf"^(static void|def) {re.escape(function)}\(", file.read(), re.M):
                return True
    return False


# ---- --check ----

def apply(mutant, directory, *options):
    # Relative to the top of the repository: from a folder inside it git would skip the files.
    place = ["--directory", os.path.relpath(directory, ROOT)] if directory != ROOT else []
    return run(["git", "apply", *place, *options, mutant.path], cwd=ROOT)


def check(mutants):
    errors = []
    for mutant in mutants:
        error = mutant.header_error()
        if error:
            errors.append(f"{mutant.name}: {error}")
        if apply(mutant, ROOT, "--check").returncode != 0:
            errors.append(f"{mutant.name}: does not apply")
    errors += check_docs(mutants)
    for error in errors:
        print(f"mutants: {error}")
    return 1 if errors else 0


def check_docs(mutants):
    """Code spans: `program: function, function`, `program`, `script.py`, `TestOfGo`, `NAME.patch`."""
    with open(os.path.join(ROOT, TESTING), encoding="utf-8") as file:
        text = file.read()
    spans = re.findall(r"`([^`\n]+)`", text)
    names = {mutant.name for mutant in mutants}
    named = {span[:-len(".patch")] for span in spans if span.endswith(".patch")}
    errors = [f"{TESTING}: no {name}.patch in test/mutants" for name in sorted(named - names)]
    errors += [f"{TESTING} does not name {name}.patch" for name in sorted(names - named)]
    go_tests = set()
    for path in glob.glob(os.path.join(ROOT, "test", "interop", "*", "*_test.go")):
        with open(path, encoding="utf-8") as file:
            go_tests.update(re.findall(r"^func (Test\w+)\(", file.read(), re.M))
    errors += [f"{TESTING}: no Go test {span}"
               for span in spans if re.fullmatch(r"Test[A-Z]\w+", span) and span not in go_tests]
    for span in spans:
        match = re.fullmatch(r"((?:test|fuzz)_\w+(?:\.(?:c|py|sh))?)(?:: (.*))?", span)
        if not match:
            continue
        program, functions = match[1], match[2]
        if not sources(program):
            errors.append(f"{TESTING}: no test {program}")
            continue
        for function in functions.split(", ") if functions else ():
            if not has_function(program, function):
                errors.append(f"{TESTING}: no function {function} in {program}")
    for part in re.split(r"^#+ .*$", text, flags=re.M):
        rows = re.findall(r"^\| (\d+ \| `[\w-]+`|(?:[A-Z]\d+|\d+(?:\.\d+)?)) \|", part, re.M)
        errors += [f"{TESTING} has two rows for {row}"
                   for row in sorted({row for row in rows if rows.count(row) > 1})]
    return errors + [f"{TESTING} does not name {path}" for path in unnamed(spans)]


def unnamed(spans):
    """Test programs that no code span names."""
    words = {word for span in spans for word in re.findall(r"\w+", span)}
    paths = run(["git", "ls-files", "-co", "--exclude-standard", "test"], cwd=ROOT).stdout.split()
    return [path for path in paths if re.search(r"/test_\w+\.(c|py|sh)$", path)
            and os.path.basename(path).split(".")[0] not in words]


# ---- building and running ----

def sync():
    """Makes SOURCE equal to the working tree; untouched files keep their times."""
    listed = run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT)
    if listed.returncode != 0:
        sys.exit("mutants: not a git checkout: " + listed.stderr.strip())
    files = {name for name in listed.stdout.split("\0") if name}
    files = {name for name in files if os.path.isfile(os.path.join(ROOT, name))}
    for name in files:
        restore(name)
    for folder, folders, names in os.walk(SOURCE):
        if folder == SOURCE and "build" in folders:
            folders.remove("build")
        for name in names:
            path = os.path.join(folder, name)
            if os.path.relpath(path, SOURCE) not in files:
                os.remove(path)


def restore(name):
    wanted, path = os.path.join(ROOT, name), os.path.join(SOURCE, name)
    if os.path.exists(path) and filecmp.cmp(wanted, path, shallow=False):
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    shutil.copyfile(wanted, path)  # with a new time: the build must see it
    shutil.copymode(wanted, path)


def prepare():
    sync()
    crypto = os.path.join(ROOT, "build", "crypto")
    if os.path.isdir(crypto) and not os.path.isdir(os.path.join(SOURCE, "build", "crypto")):
        shutil.copytree(crypto, os.path.join(SOURCE, "build", "crypto"), symlinks=True)
    if not os.path.exists(FILTER):
        made = run(["cc", "-shared", "-fPIC", "-x", "c", "-o", FILTER, "-"], input=FILTER_C)
        if made.returncode != 0:
            sys.exit("mutants: " + made.stderr)
    if not os.path.exists(os.path.join(BUILD, "build.ninja")):
        made = run(["cmake", "-S", SOURCE, "-B", BUILD, "-G", "Ninja", "-Wno-dev",
                    "-DCMAKE_BUILD_TYPE=Debug", "-DDSMR_DEBUG_CHECKS=ON"])
        if made.returncode != 0:
            sys.exit("mutants: cmake failed\n" + made.stdout + made.stderr)


def build(programs):
    """None, or the first error."""
    made = run(["cmake", "--build", BUILD, "-j", os.environ.get("JOBS", str(os.cpu_count())),
                "--target", *sorted(programs)])
    if made.returncode == 0:
        return None
    errors = [line for line in made.stdout.splitlines() if "error" in line]
    return errors[0] if errors else made.stdout[-2000:] + made.stderr


def limit_memory():
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX, MEMORY_MAX))


def outcome(program, function, seconds):
    """("passed" or "failed" or "did not run", how)"""
    environment = dict(os.environ, LD_PRELOAD=FILTER, MUTANT_TEST=function)
    try:
        done = run([os.path.join(BUILD, "test", program)], cwd=SOURCE, env=environment,
                   timeout=seconds, preexec_fn=limit_memory)
    except subprocess.TimeoutExpired:
        return "failed", f"hangs: stopped after {seconds} s"
    output = done.stdout + done.stderr
    if done.returncode < 0:
        said = [line for line in done.stderr.splitlines() if line and not line.startswith("[")]
        return "failed", "aborts: " + (said[-1] if said else f"signal {-done.returncode}")
    if re.search(rf"^\[  FAILED  \] {re.escape(function)}$", output, re.M):
        return "failed", ""
    if done.returncode == 0 and re.search(rf"^\[       OK \] {re.escape(function)}$", output, re.M):
        return "passed", ""
    return "did not run", output[-2000:]


def time_unmutated(mutants):
    """Seconds by test of those that pass without a patch; says which do not."""
    tests = sorted({test for mutant in mutants for test in mutant.tests})
    error = build({program for program, _ in tests})
    if error:
        sys.exit("mutants: does not build without a patch: " + error)
    seconds = {}
    for test in tests:
        begin = time.monotonic()
        result, how = outcome(*test, 600)
        if result == "passed":
            seconds[test] = time.monotonic() - begin
        else:
            print(f"without a patch {' '.join(test)} {result} {how}")
    return seconds


def verdict(mutant, seconds):
    """("killed" or what else, details)"""
    if mutant.header_error():
        return "wrong header", mutant.header_error()
    if any(test not in seconds for test in mutant.tests):
        return "test fails without it", ""
    applied = apply(mutant, SOURCE)
    if applied.returncode != 0:
        return "does not apply", applied.stderr.strip()
    error = build({program for program, _ in mutant.tests})
    if error:
        return "does not build", error
    details = []
    for test in mutant.tests:
        result, how = outcome(*test, max(SECONDS_MIN, int(10 * seconds[test])))
        if result != "failed":
            return "SURVIVED", f"{' '.join(test)} {result} {how}"
        if how:
            details.append(how)
    return "killed", "; ".join(details)


def run_all(mutants):
    os.makedirs(SOURCE, exist_ok=True)
    prepare()
    seconds = time_unmutated([mutant for mutant in mutants if not mutant.header_error()])
    killed = 0
    for mutant in mutants:
        try:
            result, details = verdict(mutant, seconds)
        finally:
            sync()
        killed += result == "killed"
        tests = ", ".join(" ".join(test) for test in mutant.tests)
        print(f"{result:9} {mutant.name}: {tests}{' (' + details + ')' if details else ''}",
              flush=True)
    print(f"{killed} killed, {len(mutants) - killed} survived")
    return 0 if killed == len(mutants) else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    paths = sorted(glob.glob(os.path.join(ROOT, "test", "mutants", "*.patch")))
    mutants = [Mutant(path) for path in paths]
    if options.check:
        return check(mutants)
    if options.names:
        mutants = [mutant for mutant in mutants
                   if any(name in mutant.name for name in options.names)]
    if not mutants:
        sys.exit("mutants: no patch of test/mutants has such a name")
    return run_all(mutants)


if __name__ == "__main__":
    sys.exit(main())
