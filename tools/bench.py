#!/usr/bin/env python3
"""Loads a network of four validators on this machine with each profile and prints one table beside
what the machine allows (`dsmr bench --calibrate`, measured right before each run).

    tools/bench.py [--bin DIR] [--seconds N] [--rates N,N%,...] [--repeat N] [--out DIR] [PROFILE ...]

Rates are transactions a second, or percent of the limit that the calibration before the run has found.
Profiles: opaque (random bytes of 512, at each of --rates), transfers, hotspot (transfers between two
accounts), duplicates (each opaque transaction to all nodes), lonely (two transfers a second),
idle-then-burst (opaque, one every 500 ms, then 80 000 a second for a twelfth of --seconds; three times).
A row for each run; with --repeat all profiles run so many times, one after the other, and a second
table has medians, with minimum and maximum. Writes bench.json (every summary with its calibration
and the load of the machine, and the medians) and bench.svg (throughput against latency of opaque)
to --out. Exit code 1 if a run was not right: something expired, ran twice, was not found on a node,
or roots differ.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import scale_plot

# rate (None: each of --rates), the limit that it is held against, options
PROFILES = {
    "opaque": (None, "opaque", ["--load", "opaque"]),
    "transfers": ("85%", "transfers", ["--load", "transfers"]),
    "hotspot": (5000, "transfers", ["--load", "hotspot"]),
    "duplicates": ("22%", "opaque", ["--load", "duplicates"]),
    "lonely": (2, None, ["--load", "transfers"]),
    "idle-then-burst": (80000, None, ["--load", "idle-then-burst", "--idle", "{idle}ms",
                                      "--burst", "{burst}ms"]),
}
PARTS = {"idle": "when idle", "burst_first": "first 100 ms of bursts", "burst": "bursts"}


def share_of_limit(result):
    executed, limit = result["executed_tx_per_s"], limit_of(result, "tx_per_s")
    return None if executed is None or limit is None else 100 * executed / limit


def limit_of(result, unit):
    limit = PROFILES[result["profile"]][1]
    return limit and result["calibration"]["limit_%s_%s" % (limit, unit)]


def latency(kind, at):
    return lambda result: result["latency_ms"][kind][at]


# heading, value (None: not known, or does not apply), form
LATENCIES = [("%s %s ms" % (kind, at), latency(kind, at), "%.0f")
             for kind, at in (("certified", "p50"), ("certified", "p99"), ("executed", "p50"),
                              ("executed", "p99"), ("executed", "max"))]
FIGURES = [
    ("offered/s", lambda result: result["offered_tx_per_s"], "%.0f"),
    ("executed/s", lambda result: result["executed_tx_per_s"], "%.0f"),
    ("of limit", share_of_limit, "%.0f%%"),
    ("CPU us/tx", lambda result: result["cpu_us_per_tx"], "%.1f"),
    ("limit us", lambda result: limit_of(result, "us_per_tx"), "%.1f"),
    *LATENCIES,
    ("disk B/tx", lambda result: result["disk_bytes_per_tx"], "%.0f"),
    ("net B/tx", lambda result: result["network_bytes_per_tx"], "%.0f"),
    ("MB", lambda result: result["rss_max_mb"], "%.0f"),
]


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


def per_second(rate, name, calibration):
    """A rate in transactions a second; percent are of the profile's limit, or of that of opaque ones."""
    if isinstance(rate, int):
        return rate
    limit = calibration["limit_%s_tx_per_s" % (PROFILES[name][1] or "opaque")]
    return round(limit * int(rate[:-1]) / 100)


def run(options, name, rate, turn):
    before = os.getloadavg()[0]
    calibration = calibrate(options)
    if calibration is None:
        return None
    rate = per_second(rate, name, calibration)
    times = {"idle": options.seconds * 1000 // 4, "burst": options.seconds * 1000 // 12}
    words = [os.path.join(options.bin, "dsmr"), "localnet", "--json", "--rate", str(rate),
             "--duration", "%ds" % options.seconds] + [word.format(**times)
                                                       for word in PROFILES[name][2]]
    begin = time.monotonic()
    summary = last_line(words, range(128))  # one that is not right tells its numbers all the same
    if summary is None or summary.get("event") != "summary":
        return None
    return dict(summary, profile=name, rate=rate, turn=turn, calibration=calibration,
                load_average_before=before, wall_s=round(time.monotonic() - begin, 1))


def is_right(result):
    return (result["drained"] and result["verified"] and result["state_roots_equal"] and
            result["missing_txs"] == 0 and result["executed_twice_txs"] == 0 and
            result["expired_txs"] == 0 and result["executed_txs"] == result["admitted_txs"] > 0)


def spread(values):
    known = [value for value in values if value is not None]
    return known and {"median": statistics.median(known), "min": min(known), "max": max(known)}


def cell(figure, form):
    if not figure:
        return "-"
    median, low, high = (form % figure[which] for which in ("median", "min", "max"))
    return median if low == high else "%s (%s to %s)" % (median, low, high)


def rows_of(runs):
    """The figures of runs of one profile at one rate: of all transactions, then of the parts of a
    load in bursts, which have latencies and nothing else."""
    label = runs[0]["profile"] + ("" if all(map(is_right, runs)) else " (!)")
    rows = [(label, {name: spread([value(run) for run in runs]) for name, value, _ in FIGURES})]
    for part, words in PARTS.items() if runs[0]["bursts_ms"] else []:
        of_part = [{"latency_ms": run["bursts_ms"][part]} for run in runs]
        rows.append((label + ", " + words,
                     {name: spread([value(run) for run in of_part]) for name, value, _ in LATENCIES}))
    return rows


def print_rows(runs):
    for label, figures in rows_of(runs):
        cells = [cell(figures.get(name), form) for name, _, form in FIGURES]
        print("| " + " | ".join([label] + cells) + " |", flush=True)


def print_head():
    names = ["profile"] + [name for name, _, _ in FIGURES]
    print("| " + " | ".join(names) + " |\n|" + "---|" * len(names), flush=True)


def plot(groups):
    opaque = [rows_of(runs)[0][1] for (name, _), runs in groups.items() if name == "opaque"]
    points = {"certified p50": "certified p50 ms", "executed p50": "executed p50 ms",
              "executed p99": "executed p99 ms"}
    data = [(label, [(row["executed/s"]["median"], row[name]["median"]) for row in opaque
                     if row["executed/s"] and row[name]]) for label, name in points.items()]
    return scale_plot.lines("Opaque transactions of 512 bytes, four validators on this machine",
                            "executed, tx/s", "ms", data, (False, False))


def write(options, name, content):
    with open(os.path.join(options.out, name), "w", encoding="utf-8") as file:
        file.write(content)


def rates_of(text):
    """"10000,85%" -> [10000, "85%"]"""
    rates = text.split(",")
    if any(int(rate.removesuffix("%")) < 1 for rate in rates):
        raise ValueError(text)
    return [rate if rate.endswith("%") else int(rate) for rate in rates]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/release/bin")
    parser.add_argument("--seconds", type=int, default=12)
    parser.add_argument("--rates", type=rates_of, default="10000,80000,150000,85%")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--out", default="build/bench")
    parser.add_argument("profiles", nargs="*", metavar="PROFILE", help=", ".join(PROFILES))
    options = parser.parse_args()
    unknown = [name for name in options.profiles if name not in PROFILES]
    if unknown:
        parser.error("unknown profile: " + unknown[0])
    wanted = [(name, rate) for name in options.profiles or PROFILES
              for rate in (options.rates if PROFILES[name][0] is None else [PROFILES[name][0]])]
    os.makedirs(options.out, exist_ok=True)
    groups, missing = {}, 0
    print_head()
    for turn in range(options.repeat):
        for name, rate in wanted:
            result = run(options, name, rate, turn)
            if result is None:
                missing += 1
                continue
            groups.setdefault((name, rate), []).append(result)
            print_rows([result])
    if options.repeat > 1:
        print("\nmedian of %d (minimum to maximum)\n" % options.repeat)
        print_head()
        for runs in groups.values():
            print_rows(runs)
    results = [result for runs in groups.values() for result in runs]
    medians = [{"profile": label, "rate": rate, "figures": figures}
               for (_, rate), runs in groups.items() for label, figures in rows_of(runs)]
    write(options, "bench.json", json.dumps({"medians": medians, "results": results}, indent=1) +
          "\n")
    svg = plot(groups)
    if svg is not None:
        write(options, "bench.svg", svg)
    wrong = [r["profile"] for r in results if not is_right(r)]
    print("%d runs in %s; each held against the calibration before it%s" % (
        len(results), options.out, "; not right: " + ", ".join(wrong) if wrong else ""))
    return 1 if wrong or missing else 0


if __name__ == "__main__":
    sys.exit(main())
