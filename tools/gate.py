#!/usr/bin/env python3
"""Counts the instructions of the data path's stages and compares them with bench/gate.txt.

usage: gate.py BENCH_GATE [--update]
Fails if a stage takes more than a tenth more than its mark; says so if one takes less than nine
tenths of it: then --update lowers the mark, so that what was won is kept. valgrind's callgrind
counts: a busy machine counts the same as a quiet one.
"""
import os
import re
import subprocess
import sys

MARKS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench", "gate.txt")
HEAD = """# Instructions of each stage of bench/bench_gate.c (its comments say how much work a stage is),
# as callgrind counts them in the release build. tools/gate.py fails above 110%; --update writes this file.
"""
MARGIN = 0.10


def stages(program):
    return subprocess.run([program, "--list"], check=True, capture_output=True, text=True).stdout.split()


def count(program, stage):
    run = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
                          f"--toggle-collect=stage_{stage}", program, stage],
                         capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode != 0 or found is None or int(found.group(1)) == 0:
        sys.exit(f"gate: {stage}: callgrind failed or counted nothing\n{run.stderr}")
    return int(found.group(1))


def read_marks():
    marks = {}
    try:
        with open(MARKS, encoding="utf-8") as file:
            for line in file:
                if line.strip() and not line.startswith("#"):
                    stage, instructions = line.split()
                    marks[stage] = int(instructions)
    except FileNotFoundError:
        pass
    return marks


def main():
    if len(sys.argv) < 2 or sys.argv[2:] not in ([], ["--update"]):
        print(__doc__, file=sys.stderr)
        return 64
    program = sys.argv[1]
    counts = {stage: count(program, stage) for stage in stages(program)}
    if len(sys.argv) == 3:
        with open(MARKS, "w", encoding="utf-8") as file:
            file.write(HEAD)
            file.writelines(f"{stage:<14} {instructions}\n" for stage, instructions in counts.items())
    marks = read_marks()
    failed = sorted(set(marks) - set(counts))
    for stage in failed:
        print(f"gate: {stage}: has a mark and is no stage")
    for stage, instructions in counts.items():
        mark = marks.get(stage)
        if mark is None:
            print(f"gate: {stage}: no mark; --update makes one")
            failed.append(stage)
            continue
        share = instructions / mark
        verdict = "ok"
        if share > 1 + MARGIN:
            verdict = "FAILED: more than a tenth above its mark"
            failed.append(stage)
        elif share < 1 - MARGIN:
            verdict = "ok, and may lower its mark: --update"
        print(f"gate: {stage:<14} {instructions:>11} {100 * share:6.1f}%  {verdict}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
