#!/usr/bin/env python3
"""Plants each bug of test/canaries into a copy of the tree and expects the simulator to find it.

usage: run_canaries.py [--check] [--seeds N] [NAME...]    NAME: part of a patch's file name; none: all

A patch is a unified diff (-p1) that breaks one rule of the program. Lines before the diff say how it is found:
    Rule: 6.8
    Finds: 6.8 5.2            the rules by which a checker may notice; "signal": an assertion
    Profile: default          of dsmr-sim
    Minutes: 0.5
    Seeds: 20                 at most so many, from 1 on
    Engine: snow              of dsmr-sim; without this line: bft
For each patch dsmr-sim is built with it and runs one seed after another until one fails; then the same seed must
pass without the patch. The copy is build/canaries/src, its build build/canaries/release, the programs are kept as
build/canaries/bin/NAME.
--seeds: tries so many instead of what the patch says. --check builds nothing: headers are right and patches apply.
"""
import argparse
import glob
import os
import re
import shutil
import subprocess
import sys

import run_mutants as mutants

ROOT = mutants.ROOT
WORK = os.path.join(ROOT, "build", "canaries")
BUILD = os.path.join(WORK, "release")
BIN = os.path.join(WORK, "bin")
FIELDS = ("Rule", "Finds", "Profile", "Minutes", "Seeds")
SECONDS_MAX = 600  # of one seed: one that hangs has found something, too

mutants.SOURCE = os.path.join(WORK, "src")  # whose copy of the tree it keeps, and patches


class Canary:
    """One patch: its name and what its first lines say."""

    def __init__(self, path):
        self.path = path
        self.name = os.path.basename(path)[:-len(".patch")]
        self.fields = {}
        with open(path, encoding="utf-8") as file:
            for line in file:
                if line.startswith(("--- ", "diff ")):
                    break
                key, _, value = line.strip().partition(": ")
                self.fields[key] = value

    def error(self):
        for field in FIELDS:
            if not self.fields.get(field):
                return f"needs a line '{field}:'"
        return None if self.fields["Seeds"].isdigit() else "Seeds is not a number"


def check(canaries):
    errors = [f"{canary.name}: {canary.error()}" for canary in canaries if canary.error()]
    errors += [f"{canary.name}: does not apply" for canary in canaries
               if mutants.apply(canary, ROOT, "--check").returncode != 0]
    with open(os.path.join(ROOT, mutants.TESTING), encoding="utf-8") as file:
        text = file.read()
    errors += [f"{mutants.TESTING} does not name {canary.name}" for canary in canaries
               if f"`{canary.name}`" not in text]
    for error in errors:
        print(f"canaries: {error}")
    return 1 if errors else 0


def prepare():
    os.makedirs(mutants.SOURCE, exist_ok=True)
    os.makedirs(BIN, exist_ok=True)
    mutants.sync()
    crypto = os.path.join(ROOT, "build", "crypto")
    if os.path.isdir(crypto) and not os.path.isdir(os.path.join(mutants.SOURCE, "build", "crypto")):
        shutil.copytree(crypto, os.path.join(mutants.SOURCE, "build", "crypto"), symlinks=True)
    if not os.path.exists(os.path.join(BUILD, "build.ninja")):
        made = mutants.run(["cmake", "-S", mutants.SOURCE, "-B", BUILD, "-G", "Ninja", "-Wno-dev",
                            "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
                            "-DCMAKE_C_FLAGS_RELWITHDEBINFO=-O2 -g"])
        if made.returncode != 0:
            sys.exit("canaries: cmake failed\n" + made.stdout + made.stderr)


def build(name):
    """None, or what is wrong."""
    made = mutants.run(["cmake", "--build", BUILD, "-j", os.environ.get("JOBS", str(os.cpu_count())),
                        "--target", "dsmr-sim"])
    if made.returncode != 0:
        return (made.stdout + made.stderr)[-2000:]
    shutil.copy2(os.path.join(BUILD, "bin", "dsmr-sim"), os.path.join(BIN, name))
    return None


def run_seed(name, canary, seed):
    """None if the seed passes; else (the rule that was broken, the line that says so)."""
    try:
        done = mutants.run([os.path.join(BIN, name), "--seed", str(seed),
                            "--profile", canary.fields["Profile"],
                            "--engine", canary.fields.get("Engine", "bft"),
                            "--minutes", canary.fields["Minutes"]], timeout=SECONDS_MAX)
    except subprocess.TimeoutExpired:
        return "hang", f"no end within {SECONDS_MAX} s"
    if done.returncode == 0:
        return None
    if done.returncode < 0:
        said = [line for line in done.stderr.splitlines() if line]
        return "signal", said[-1] if said else f"signal {-done.returncode}"
    found = re.search(r"^  (.*?) at \d+\.\d+ s: .*$", done.stdout, re.M)
    return (found[1], found[0].strip()) if found else ("?", done.stdout[-500:])


def hunt(canary, seeds):
    """(whether it was found as it should, how)"""
    applied = mutants.apply(canary, mutants.SOURCE)
    if applied.returncode != 0:
        return False, "does not apply: " + applied.stderr.strip()
    error = build(canary.name)
    if error:
        return False, "does not build: " + error
    for seed in range(1, seeds + 1):
        broken = run_seed(canary.name, canary, seed)
        if broken is None:
            continue
        if run_seed("none", canary, seed) is not None:
            return False, f"seed {seed} fails without the patch, too"
        rule, line = broken
        if rule not in canary.fields["Finds"].split():
            return False, f"seed {seed}, but by another rule: {line}"
        return True, f"seed {seed}: {line}"
    return False, f"NOT FOUND in {seeds} seeds"


def run_all(canaries, seeds):
    prepare()
    error = build("none")
    if error:
        sys.exit("canaries: does not build without a patch: " + error)
    found = 0
    for canary in canaries:
        try:
            is_found, how = hunt(canary, seeds or int(canary.fields["Seeds"]))
        finally:
            mutants.sync()
        found += is_found
        print(f"{'found' if is_found else 'FAILED':6} {canary.name}: {how}", flush=True)
    print(f"{found} found, {len(canaries) - found} not")
    return 0 if found == len(canaries) else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--seeds", type=int, metavar="N")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    canaries = [Canary(path)
                for path in sorted(glob.glob(os.path.join(ROOT, "test", "canaries", "*.patch")))]
    if options.names:
        canaries = [canary for canary in canaries
                    if any(name in canary.name for name in options.names)]
    if not canaries:
        sys.exit("canaries: no patch of test/canaries has such a name")
    return check(canaries) if options.check or check(canaries) else run_all(canaries, options.seeds)


if __name__ == "__main__":
    sys.exit(main())
