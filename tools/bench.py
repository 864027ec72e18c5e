#!/usr/bin/env python3
"""Loads a network of four validators on this machine with each profile and prints one table beside
what the machine allows (`dsmr bench --calibrate`, measured before and after).

    tools/bench.py [--bin DIR] [--seconds N] [--rates N,N,...] [--out DIR] [PROFILE ...]

Profiles: opaque (random bytes of 512, at each of --rates), transfers, hotspot (transfers between two
accounts), duplicates (each opaque transaction to all nodes), lonely (two transfers a second).
Writes bench.json (every summary, the calibrations, the load of the machine) and bench.svg
(throughput against latency of opaque) to --out. Exit code 1 if a run was not right: something
expired, ran twice, was not found on a node, or roots differ.
"""
import argparse
import json
import os
import subprocess
import sys
import time

import scale_plot

# rate (None: each of --rates), the limit that it is held against, options
PROFILES = {
    "opaque": (None, "opaque", ["--load", "opaque"]),
    "transfers": (18000, "transfers", ["--load", "transfers"]),
    "hotspot": (5000, "transfers", ["--load", "transfers", "--accounts", "2"]),
    "duplicates": (40000, "opaque", ["--load", "duplicates"]),
    "lonely": (2, None, ["--load", "transfers"]),
}
COLUMNS = ("profile", "offered/s", "executed/s", "of limit", "certified p50/p99", "executed p50/p99",
           "CPU us/tx", "limit us", "disk B/tx", "net B/tx", "MB")


def last_line(words, ends=(0,)):
    """The last JSON line of a command; None if it ended otherwise than in ends, or printed none."""
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = done.stdout.splitlines()
    if done.returncode not in ends or not lines:
        sys.stderr.write("%s: exit code %d\n%s" % (" ".join(words), done.returncode, done.stderr))
        return None
    return json.loads(lines[-1])


def calibrate(options):
    return last_line([os.path.join(options.bin, "dsmr"), "bench", "--calibrate", "--json"])


def run(options, name, rate):
    before = os.getloadavg()[0]
    words = [os.path.join(options.bin, "dsmr"), "localnet", "--json", "--rate", str(rate),
             "--duration", "%ds" % options.seconds] + PROFILES[name][2]
    begin = time.monotonic()
    summary = last_line(words, range(128))  # one that is not right tells its numbers all the same
    if summary is None or summary.get("event") != "summary":
        return None
    return dict(summary, profile=name, rate=rate, load_average_before=before,
                wall_s=round(time.monotonic() - begin, 1))


def is_right(result):
    return (result["drained"] and result["verified"] and result["state_roots_equal"] and
            result["missing_txs"] == 0 and result["executed_twice_txs"] == 0 and
            result["expired_txs"] == 0 and result["executed_txs"] == result["admitted_txs"] > 0)


def number(value, form="%.0f"):
    return "-" if value is None else form % value


def pair(latency):
    return "%s / %s ms" % (number(latency["p50"]), number(latency["p99"]))


def row(result, calibration):
    limit = PROFILES[result["profile"]][1]
    executed = result["executed_tx_per_s"]
    share = us = None
    if limit is not None:
        us = calibration["limit_%s_us_per_tx" % limit]
        share = executed and 100 * executed / calibration["limit_%s_tx_per_s" % limit]
    cells = [result["profile"] + ("" if is_right(result) else " (!)"),
             number(result["offered_tx_per_s"]), number(executed), number(share, "%.0f%%"),
             pair(result["latency_ms"]["certified"]), pair(result["latency_ms"]["executed"]),
             number(result["cpu_us_per_tx"], "%.1f"), number(us, "%.1f"),
             number(result["disk_bytes_per_tx"]), number(result["network_bytes_per_tx"]),
             number(result["rss_max_mb"])]
    return "| " + " | ".join(cells) + " |"


def plot(results):
    points = {"certified p50": ("certified", "p50"), "executed p50": ("executed", "p50"),
              "executed p99": ("executed", "p99")}
    data = [(label, [(r["executed_tx_per_s"], r["latency_ms"][kind][at]) for r in results
                     if r["profile"] == "opaque" and r["latency_ms"][kind][at]])
            for label, (kind, at) in points.items()]
    return scale_plot.lines("Opaque transactions of 512 bytes, four validators on this machine",
                            "executed, tx/s", "ms", data, (False, False))


def write(options, name, content):
    with open(os.path.join(options.out, name), "w", encoding="utf-8") as file:
        file.write(content)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/release/bin")
    parser.add_argument("--seconds", type=int, default=12)
    parser.add_argument("--rates", default="10000,80000,150000,220000")
    parser.add_argument("--out", default="build/bench")
    parser.add_argument("profiles", nargs="*", metavar="PROFILE", help=", ".join(PROFILES))
    options = parser.parse_args()
    unknown = [name for name in options.profiles if name not in PROFILES]
    if unknown:
        parser.error("unknown profile: " + unknown[0])
    rates = [int(rate) for rate in options.rates.split(",")]
    os.makedirs(options.out, exist_ok=True)
    calibrations, results, missing = [calibrate(options)], [], 0
    if calibrations[0] is None:
        return 1
    print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS), flush=True)
    for name in options.profiles or PROFILES:
        rate = PROFILES[name][0]
        for each in rates if rate is None else [rate]:
            result = run(options, name, each)
            if result is None:
                missing += 1
                continue
            results.append(result)
            print(row(result, calibrations[0]), flush=True)
    calibrations.append(calibrate(options))
    write(options, "bench.json", json.dumps({"calibrations": calibrations, "results": results},
                                            indent=1) + "\n")
    svg = plot(results)
    if svg is not None:
        write(options, "bench.svg", svg)
    wrong = [r["profile"] for r in results if not is_right(r)]
    print("%d runs in %s; limits by the calibration before them%s" % (
        len(results), options.out, "; not right: " + ", ".join(wrong) if wrong else ""))
    return 1 if wrong or missing else 0


if __name__ == "__main__":
    sys.exit(main())
