#!/usr/bin/env python3
"""A validator misses a minute under load and comes back: how fast does it catch up, and who pays for it?

    bench/catchup.py [--away N] [--rate N] [--how kill|stop] [--json]

Four validators; the load goes to the other three. Catching up is measured in seconds of the chain that are executed in a second:
blocks carry their time, so a node at height h is at that time of the chain; the chain itself moves by one second a second meanwhile.
Beside it the p99 of the others, from their doors to the result, before, while it is away and while it catches up.
Exit code 1 if it is slower than 4 times real time, if the others' p99 is more than twice what it was before, or if something got lost.
"""
import argparse
import json
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "test", "e2e"))

from net import Failed, Testnet, await_chain, check, finish, until  # noqa: E402
from overload import SAMPLE_S, Watch  # noqa: E402

SPEED, P99_FACTOR, P99_PLUS_MS = 4.0, 2.0, 50
NEAR = 3  # blocks: it is there
# From door to certificate, from that to its block, from that to the result.
STAGES = ("tx_certified", "tx_certified_accepted", "tx_accepted_executed")
BEFORE_S, GIVE_UP_S = 10, 240


def chain_time_ms(node, height):
    code, block = node.http("/v1/block/%d" % height)
    check(code == 200, "block %d: %s" % (height, block))
    return int(block["time_ms"])


def run(options):
    with Testnet(4, app="opaque", params={"slot_ms": 50}, env={"DSMR_WORKERS": "1"}) as net:
        net.start_all()
        await_chain(net.nodes)
        away, others = net.nodes[3], net.nodes[:3]
        watch, marks = Watch(others), {"begin": time.monotonic()}
        watch.look()
        seconds = BEFORE_S + options.away + GIVE_UP_S
        load = net.bench("--load", "opaque", "--rate", str(options.rate), "--duration",
                         "%ds" % seconds, "--warmup", "2s", nodes=others)
        watch.until(marks["begin"] + BEFORE_S)
        marks["away"] = time.monotonic()
        if options.how == "kill":
            away.kill()
        else:
            os.kill(away.pid, signal.SIGSTOP)
        at_height = others[0].height()
        watch.until(marks["away"] + options.away)
        if options.how == "kill":
            away.start(net.env)
        else:
            os.kill(away.pid, signal.SIGCONT)
        marks["back"] = time.monotonic()
        points = []

        def is_there():
            watch.look()
            mine, theirs = away.executed(), others[0].executed()
            points.append((time.monotonic(), mine, theirs))
            return mine > at_height and mine + NEAR >= theirs
        # As often as otherwise: a question to four nodes twenty times a second took a ninth of what the
        # returned one had of the processors.
        until("it has caught up", is_there, GIVE_UP_S, SAMPLE_S)
        marks["there"] = time.monotonic()
        watch.until(marks["there"] + 5)
        marks["end"] = time.monotonic()
        load.send_signal(signal.SIGINT)
        code, summary, err = finish(load)
        check(summary is not None, "the load ended with code %d: %s" % (code, err))
        check(summary["drained"] and summary["expired_txs"] == 0 and summary["lost_txs"] == 0,
              str(summary))
        net.await_equal_roots()
        begun = [p for p in points if p[1] > at_height] or points[-1:]
        chain_s = (chain_time_ms(others[0], points[-1][1]) -
                   chain_time_ms(others[0], at_height)) / 1000
    facts = {"rate": options.rate, "away_s": options.away, "how": options.how,
             "missed_blocks": points[0][2] - at_height, "chain_s": round(chain_s, 1),
             "took_s": round(marks["there"] - marks["back"], 2),
             "first_block_after_s": round(begun[0][0] - marks["back"], 2),
             "times_real_time": round(chain_s / (marks["there"] - marks["back"]), 1)}
    for name, begin, end in (("before", marks["begin"] + 3, marks["away"]),
                             ("away", marks["away"], marks["back"]),
                             ("catching_up", marks["back"], marks["there"] + 1),
                             ("after", marks["there"] + 1, marks["end"])):
        executed, took = watch.gained("txs_executed_total", begin, end)
        facts[name] = {"executed": round(min(executed) / max(took, 0.01)),
                       "p50_ms": round(watch.quantile_ms(0.5, begin, end)),
                       "p99_ms": round(watch.quantile_ms(0.99, begin, end)),
                       "stages_ms": {stage: [round(watch.quantile_ms(share, begin, end, stage))
                                             for share in (0.5, 0.99)] for stage in STAGES},
                       **{name: int(max(watch.gained(metric, begin, end)[0])) for name, metric in (
                           ("nullified", "bft_nullified_views_total"),
                           ("timeouts", "bft_view_timeouts_total"),
                           ("skipped", "bft_skipped_views_total"))}}
    return facts


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--away", type=int, default=60, help="seconds")
    parser.add_argument("--rate", type=int, default=60000, help="half of what the machine carries")
    parser.add_argument("--how", choices=["kill", "stop"], default="kill")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    try:
        facts = run(options)
    except Failed as failure:
        raise SystemExit("FAILED: %s" % failure) from failure
    print("| others | executed/s | p50 | p99 | to certified | to accepted | to executed, p50 / p99 | "
          "views without a block | timed out | skipped |\n" + "|---" * 10 + "|")
    for name in ("before", "away", "catching_up", "after"):
        print("| %s | %d | %d ms | %d ms | %s | %d | %d | %d |" % (
            name.replace("_", " "), facts[name]["executed"], facts[name]["p50_ms"],
            facts[name]["p99_ms"],
            " | ".join("%d / %d" % tuple(facts[name]["stages_ms"][stage]) for stage in STAGES),
            *[facts[name][of] for of in ("nullified", "timeouts", "skipped")]))
    print("away %d s (%s), %d blocks; %.1f s of the chain executed in %.2f s, the first after %.2f s: "
          "%.1f times real time; load average before: %.1f" % (
              facts["away_s"], facts["how"], facts["missed_blocks"], facts["chain_s"],
              facts["took_s"], facts["first_block_after_s"], facts["times_real_time"], load))
    if options.json:
        print(json.dumps(dict(facts, load_average_before=load)))
    wrong = []
    if facts["times_real_time"] < SPEED:
        wrong.append("%.1f times real time" % facts["times_real_time"])
    if facts["catching_up"]["p99_ms"] > P99_FACTOR * facts["before"]["p99_ms"] + P99_PLUS_MS:
        wrong.append("p99 of the others %d ms, before %d ms" % (facts["catching_up"]["p99_ms"],
                                                                facts["before"]["p99_ms"]))
    if wrong:
        raise SystemExit("FAILED: " + "; ".join(wrong))


if __name__ == "__main__":
    main()
