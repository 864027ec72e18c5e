#!/usr/bin/env python3
"""A network under steady load for long: memory, disk and latency must not drift.

    make soak SOAK_MINUTES=30 SOAK_RATE=110000       # transactions a second; choose half of what the machine carries
    python3 -B bench/soak.py --help

Four validators with a retention of a minute. What is kept because it is recent (chunks, results, ids) fills up in the first
minutes; after these the first quarter of the samples is held against the last.
"""
import argparse
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "test", "e2e"))

from net import Failed, Testnet, await_chain, check, finish  # noqa: E402

PARAMS = {"retention_ms": 60000, "slot_ms": 50}
FILL_S = 270  # two validity windows, a lifetime, a minute for the janitor
SAMPLE_S = 5
MINUTES_MIN = 8
# More than noise of one run and less than a leak: an eighth, and what allocators and files come in.
MORE = {"memory_mb": (1.125, 8), "disk_mb": (1.125, 64), "p50_ms": (1.5, 20), "p99_ms": (1.5, 100)}


def buckets(metrics, histogram="tx_executed"):
    """Transactions so far in the metrics of all nodes together, by the upper end of their bucket in seconds."""
    total, prefix = {}, 'dsmr_%s_seconds_bucket{le="' % histogram
    for of_node in metrics:
        for name, value in of_node.items():
            if name.startswith(prefix):
                end = float(name[len(prefix):].split('"')[0].replace("+Inf", "inf"))
                total[end] = total.get(end, 0) + value
    return total


def quantile_ms(before, after, share):
    """Of what came between, with the line through its bucket that Prometheus draws."""
    ends = sorted(after)
    counts = [after[end] - before.get(end, 0) for end in ends]
    if not counts or counts[-1] == 0:
        return 0.0
    wanted = share * counts[-1]
    low, below = 0.0, 0
    for end, count in zip(ends, counts):
        if count >= wanted:
            high = low if end == float("inf") else end
            return 1000 * (low + (high - low) * (wanted - below) / max(1, count - below))
        low, below = end, count
    return 1000 * low


def soak(minutes, rate, app, told):
    samples, marks = [], []
    with Testnet(4, app=app, params=PARAMS) as net:
        net.start_all()
        await_chain(net.nodes)
        load = net.bench("--load", app, "--rate", str(rate), "--duration", "%ds" % (60 * minutes))
        begin = time.monotonic()
        while time.monotonic() - begin < 60 * minutes and load.poll() is None:
            time.sleep(SAMPLE_S)
            at = time.monotonic() - begin
            sample = {"s": round(at), "memory_mb": max(n.memory_mb() for n in net.nodes),
                      "disk_mb": max(n.disk_mb() for n in net.nodes)}
            samples.append(sample)
            marks.append(buckets([node.metrics() for node in net.nodes]))
            told(sample)
        code, summary, err = finish(load)
        check(code == 0, "the load ended with code %d: %s" % (code, err))
        net.await_equal_roots()
    return samples, marks, summary


def judge(samples, marks):
    steady = [i for i, sample in enumerate(samples) if sample["s"] >= FILL_S]
    quarter = len(steady) // 4
    check(quarter >= 2, "too few samples: %d" % len(steady))
    parts = {"first": steady[:quarter + 1], "last": steady[-quarter - 1:]}
    figures = {}
    for part, indexes in parts.items():
        figures[part] = {name: max(samples[i][name] for i in indexes)
                         for name in ("memory_mb", "disk_mb")}
        for name, share in (("p50_ms", 0.5), ("p99_ms", 0.99)):
            figures[part][name] = quantile_ms(marks[indexes[0]], marks[indexes[-1]], share)
    drifts = ["%s: %.0f, then %.0f" % (name, figures["first"][name], figures["last"][name])
              for name, (factor, plus) in MORE.items()
              if figures["last"][name] > factor * figures["first"][name] + plus]
    return figures, drifts


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=int, default=30)
    parser.add_argument("--rate", type=int, default=110000)
    parser.add_argument("--app", choices=["transfers", "opaque"], default="opaque")
    options = parser.parse_args()
    if options.minutes < MINUTES_MIN:
        parser.error("--minutes: at least %d" % MINUTES_MIN)

    def told(sample):
        sys.stderr.write("%(s)5d s  %(memory_mb)6.1f MB  %(disk_mb)8.1f MB on the disk\n" % sample)
    try:
        samples, marks, summary = soak(options.minutes, options.rate, options.app, told)
        figures, drifts = judge(samples, marks)
    except Failed as failure:
        raise SystemExit("FAILED: %s" % failure) from failure
    print(json.dumps({"minutes": options.minutes, "rate": options.rate, "app": options.app,
                      "executed_tx_per_s": summary["executed_tx_per_s"],
                      "cpu_us_per_tx": summary["cpu_us_per_tx"], **figures,
                      "drifts": drifts}))
    if drifts:
        raise SystemExit("FAILED: " + "; ".join(drifts))


if __name__ == "__main__":
    main()
