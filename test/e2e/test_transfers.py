#!/usr/bin/env python3
"""Transfers to completion on 4 and on 7 nodes: the contract's summary, judged again here."""
import json

from net import DSMR, check, main, run

MEMBERS = ["engine", "validators", "duration_s", "offered_tx_per_s", "certified_tx_per_s",
           "executed_tx_per_s", "payload_mb_per_s", "latency_ms", "stages_ms",
           "backlog_blocks_max", "cpu_us_per_tx",
           "disk_bytes_per_tx", "network_bytes_per_tx", "rss_max_mb", "height",
           "state_roots_equal", "executed_txs"]


def to_completion(validators, rate):
    code, out, err = run(DSMR, "localnet", "--validators", str(validators), "--load", "transfers",
                         "--rate", str(rate), "--duration", "5", "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    check(code == 0, "exit code %d: %s" % (code, err))
    check(lines[0]["event"] == "started", "the first line is not started")
    check(len(lines[0]["nodes"]) == validators, "not all nodes are announced")
    summary = lines[-1]
    check(summary["event"] == "summary", "the last line is not the summary")
    for member in MEMBERS:
        check(member in summary, "the summary lacks " + member)
    for stage in ("certified", "executed"):
        for percentile in ("p50", "p95", "p99"):
            check(summary["latency_ms"][stage][percentile] > 0, "no latency to " + stage)
    for stage in ("admitted_certified", "certified_accepted", "accepted_executed"):
        times = summary["stages_ms"][stage]
        check(0 < times["p50"] <= times["p99"] and times["mean"] > 0, "%s: %s" % (stage, times))
    for member in MEMBERS:  # a machine so busy that none ran while it was measured: what would one cost?
        check(summary[member] is not None or (member.endswith("_per_tx") and summary["executed_tx_per_s"] == 0),
              member + " is not known")
    check((summary["engine"], summary["validators"]) == ("bft", validators), "%s" % summary)
    events = [line["event"] for line in lines[1:-1]]
    check(events[-1] == "checking" and events[:-1] and set(events[:-1]) == {"draining"},
          "between start and summary: %s" % events)
    check(summary["state_roots_equal"] is True, "roots differ")
    check(summary["executed_txs"] >= 0.99 * rate * 5 * 0.9, "too few were executed")


def four_nodes():
    to_completion(4, 1000)


def seven_nodes():
    to_completion(7, 400)


if __name__ == "__main__":
    main(four_nodes, seven_nodes)
