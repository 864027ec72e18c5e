#!/usr/bin/env python3
"""Plants each bug of test/canaries into a dsmr-sim of its own and expects that one to find it.

usage: run_canaries.py [--check | --build] [--seeds N] [NAME...]    NAME: part of a patch's file name; none: all

A patch is a unified diff (-p1) that breaks one rule of the program. Lines before the diff say how it is found:
    What: a transaction may run one millisecond after its expiry
    Rule: 10.4
    Finds: 10.3 10.4          the rules by which a checker may notice; "signal": an assertion
    Profile: default          of dsmr-sim
    Minutes: 0.5
    Seeds: 20                 at most so many, from 1 on
    Engine: snow              of dsmr-sim; without this line: bft
    Liar: proposer            what all liars are; without this line: by the seed
Nothing of the tree changes: only the files that a patch touches are copied, patched and compiled, as build/release
compiles them, and linked with the objects of build/release into build/canaries/bin/NAME. That program runs one seed
after another until one fails; then dsmr-sim itself must pass the same seed.
--seeds: tries so many instead of what the patch says. --build: makes the programs that are missing or older than
what they are made of, and runs nothing; NAME is then the whole name. --check: headers are right, patches apply.
JOBS (environment): how many run at a time; default: one for each processor.
"""
import argparse
import concurrent.futures
import glob
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time

import run_mutants as mutants

ROOT = mutants.ROOT
RELEASE = os.path.join(ROOT, "build", "release")
PLAIN = os.path.join(RELEASE, "bin", "dsmr-sim")
WORK = os.path.join(ROOT, "build", "canaries")
BIN = os.path.join(WORK, "bin")
FIELDS = ("What", "Rule", "Finds", "Profile", "Minutes", "Seeds")
SECONDS_MAX = 600  # of one seed: one that hangs has found something, too
JOBS = int(os.environ.get("JOBS") or os.cpu_count())


class Canary:
    """One patch: its name, what its first lines say, which files it touches."""

    def __init__(self, path):
        self.path = path
        self.name = os.path.basename(path)[:-len(".patch")]
        self.program = os.path.join(BIN, self.name)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        head = re.split(r"^(?:--- |diff )", text, maxsplit=1, flags=re.M)[0]
        lines = [line.partition(": ") for line in head.splitlines()]
        self.fields = {key: value.strip() for key, _, value in lines}
        self.files = re.findall(r"^\+\+\+ b/(\S+)", text, re.M)

    def errors(self):
        for field in FIELDS:
            if not self.fields.get(field):
                yield f"needs a line '{field}:'"
        for field in set(self.fields) - set(FIELDS) - {"Engine", "Liar"}:
            yield f"has a line '{field}:' that means nothing"
        if not self.fields.get("Seeds", "").isdigit():
            yield "Seeds is not a number"
        for name in self.files:
            if not re.fullmatch(r"src/[^/]+/[^/]+\.c", name):
                yield f"touches {name}, which is no .c file of src"
        if mutants.apply(self, ROOT, "--check").returncode != 0:
            yield "does not apply"

    def command(self, program, seed):
        return [program, "--seed", str(seed), "--profile", self.fields["Profile"],
                "--engine", self.fields.get("Engine", "bft"),
                "--minutes", self.fields["Minutes"],
                *(["--liar", self.fields["Liar"]] if "Liar" in self.fields else [])]


def check(canaries):
    with open(os.path.join(ROOT, mutants.TESTING), encoding="utf-8") as file:
        text = file.read()
    errors = [f"{canary.name}: {error}" for canary in canaries for error in canary.errors()]
    errors += [f"{mutants.TESTING} has no row for {canary.name} with its What"
               for canary in canaries
               if f"| `{canary.name}` | {canary.fields.get('What')} |" not in text]
    for error in errors:
        print(f"canaries: {error}")
    return 1 if errors else 0


# ---- building ----

def build_plain():
    """dsmr-sim without a patch, up to date."""
    if not os.path.exists(os.path.join(RELEASE, "build.ninja")):
        sys.exit("canaries: build/release is not there: 'make all' makes it")
    made = mutants.run(["cmake", "--build", RELEASE, "-j", str(JOBS), "--target", "dsmr-sim"])
    if made.returncode != 0:
        sys.exit("canaries: does not build without a patch:\n" + (made.stdout + made.stderr)[-2000:])


def compile_commands():
    """How build/release compiles each file: path -> words."""
    with open(os.path.join(RELEASE, "compile_commands.json"), encoding="utf-8") as file:
        return {entry["file"]: shlex.split(entry["command"]) for entry in json.load(file)}


def link_command():
    """How build/release links dsmr-sim, as a line of the shell."""
    with open(os.path.join(RELEASE, "CMakeCache.txt"), encoding="utf-8") as file:
        ninja = re.search(r"^CMAKE_MAKE_PROGRAM:\w+=(.*)$", file.read(), re.M)[1]
    listed = mutants.run([ninja, "-C", RELEASE, "-t", "commands", "bin/dsmr-sim"])
    return [line for line in listed.stdout.splitlines() if " -o bin/dsmr-sim " in line][-1]


class Builder:
    """Makes the programs of canaries; thread-safe once it is made."""

    def __init__(self):
        build_plain()
        self.compile = compile_commands()
        self.link = link_command()
        os.makedirs(BIN, exist_ok=True)

    def compile_file(self, name, folder):
        """The object of one patched file. An exception if it does not compile."""
        words = list(self.compile[os.path.join(ROOT, name)])
        place = words.index("-o")
        source, target = os.path.join(folder, name), os.path.join(folder, name) + ".o"
        words[place + 1] = target
        words[-1] = source
        made = mutants.run([*words, "-w"], cwd=RELEASE)  # what a patch leaves unused is no matter
        if made.returncode != 0:
            raise RuntimeError(made.stderr[-2000:])
        return target

    def build(self, canary):
        """None, or what is wrong."""
        folder = os.path.join(WORK, canary.name)
        shutil.rmtree(folder, ignore_errors=True)
        for name in canary.files:
            os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
            shutil.copyfile(os.path.join(ROOT, name), os.path.join(folder, name))
        applied = mutants.apply(canary, folder)
        if applied.returncode != 0:
            return "does not apply: " + applied.stderr.strip()
        try:
            objects = [self.compile_file(name, folder) for name in canary.files]
        except RuntimeError as error:
            return f"does not compile: {error}"
        # An object before the archives is taken instead of the archive's member.
        line = self.link.replace(" -o bin/dsmr-sim ",
                                 f" {shlex.join(objects)} -o {shlex.quote(canary.program)} ")
        made = mutants.run(["sh", "-c", line], cwd=RELEASE)
        return None if made.returncode == 0 else "does not link: " + made.stderr[-2000:]

    def build_if_old(self, canary):
        """None, or what is wrong. What is linked into dsmr-sim makes it newer."""
        if os.path.exists(canary.program):
            made = os.path.getmtime(canary.program)
            if made > os.path.getmtime(canary.path) and made > os.path.getmtime(PLAIN):
                return None
        return self.build(canary)


# ---- running ----

def run_seed(canary, program, seed):
    """None if the seed passes; else (the rule that was broken, the line that says so)."""
    try:
        done = mutants.run(canary.command(program, seed), timeout=SECONDS_MAX)
    except subprocess.TimeoutExpired:
        return "hang", f"no end within {SECONDS_MAX} s"
    if done.returncode == 0:
        return None
    if done.returncode < 0:
        said = [line.strip() for line in done.stdout.splitlines() if "assert" in line]
        return "signal", said[0] if said else f"signal {-done.returncode}"
    found = re.search(r"^  (.*?) at \d+\.\d+ s: .*$", done.stdout, re.M)
    return (found[1], found[0].strip()) if found else ("?", (done.stdout + done.stderr)[-500:])


def hunt(builder, canary, seeds):
    """(whether it was found as it should, how)"""
    error = builder.build_if_old(canary)
    if error:
        return False, error
    for seed in range(1, seeds + 1):
        broken = run_seed(canary, canary.program, seed)
        if broken is None:
            continue
        if run_seed(canary, PLAIN, seed) is not None:
            return False, f"seed {seed} fails without the patch, too"
        rule, line = broken
        if rule not in canary.fields["Finds"].split():
            return False, f"seed {seed}, but by another rule: {line}"
        return True, f"seed {seed}: {line}"
    return False, f"NOT FOUND in {seeds} seeds"


def run_all(canaries, seeds):
    begin = time.monotonic()
    builder = Builder()
    found = 0
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        hunts = [pool.submit(hunt, builder, canary, seeds or int(canary.fields["Seeds"]))
                 for canary in canaries]
        for canary, done in zip(canaries, hunts):
            is_found, how = done.result()
            found += is_found
            print(f"{'found' if is_found else 'FAILED':6} {canary.name}: {how}", flush=True)
    print(f"{found} found, {len(canaries) - found} not, {time.monotonic() - begin:.0f} s")
    return 0 if found == len(canaries) else 1


def build_only(canaries):
    builder = Builder()
    errors = [f"{canary.name}: {error}" for canary in canaries
              for error in [builder.build_if_old(canary)] if error]
    for error in errors:
        print(f"canaries: {error}")
    return 1 if errors else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--build", action="store_true")
    parser.add_argument("--seeds", type=int, metavar="N")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    canaries = [Canary(path)
                for path in sorted(glob.glob(os.path.join(ROOT, "test", "canaries", "*.patch")))]
    if options.names:
        canaries = [canary for canary in canaries
                    if any(name == canary.name if options.build else name in canary.name
                           for name in options.names)]
    if not canaries:
        sys.exit("canaries: no patch of test/canaries has such a name")
    if options.build:
        return build_only(canaries)
    wrong = check(canaries)
    return wrong if wrong or options.check else run_all(canaries, options.seeds)


if __name__ == "__main__":
    sys.exit(main())
