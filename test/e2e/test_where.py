#!/usr/bin/env python3
"""Where a transaction is: told at each stage by the node that took it, by HTTP and by dsmr tx."""
import json
import os
import time

from net import DSMR, Testnet, await_chain, check, main, opaque_tx, run, until

LATER_MS = 50000  # expiry of what shall be executed
SOON_MS = 2000    # of what shall not
START_MS = 4000   # for three processes to start


def submit(node, tx, mode):
    return node.http("/v1/tx?mode=" + mode, {"tx": tx.hex()})


def state(node, tx_id):
    code, answer = node.http("/v1/tx/" + tx_id)
    if code == 404:
        check(answer["error"]["code"] == "unknown", "%s" % answer)
        return "unknown"
    check(code == 200, "%d %s" % (code, answer))
    return answer["state"]


def told(node, tx_id, *words):
    code, out, err = run(DSMR, "tx", tx_id, "--node", "127.0.0.1:%d" % node.http_port, *words)
    check(code == 0 and err == "", "dsmr tx: %d %s" % (code, err))
    return out


def begin_later(net):
    """The chain begins when all run: a node that starts after the first block signs nothing for a
    chunk's lifetime, because it may have lost what it signed before."""
    begin_ms = int(time.time() * 1000) + START_MS
    for node in net.nodes:
        path = os.path.join(node.home, "config/genesis.json")
        with open(path) as file:
            genesis = json.load(file)
        genesis["time_ms"] = begin_ms
        with open(path, "w") as file:
            json.dump(genesis, file)


def stages():
    with Testnet(4) as net:
        first, second, third, _ = net.nodes
        begin_later(net)
        for node in (first, second, third):
            node.start()
        await_chain((first, second, third))
        check(third.stop() == 0, "a node does not stop well")
        code, answer = submit(first, opaque_tx(SOON_MS), "sync")
        check(code == 200 and answer["state"] == "pending", "%d %s" % (code, answer))
        short = answer["tx"]
        tx = opaque_tx(LATER_MS)
        code, answer = submit(first, tx, "async")
        check(code == 202, "%d %s" % (code, answer))
        tx_id = answer["tx"]
        # Two of four are no quorum: nobody certifies.
        until("it is in a chunk", lambda: state(first, tx_id) == "in_chunk")
        facts = json.loads(told(first, tx_id, "--json"))
        check(len(facts["chunk"]) == 64 and facts["height"] is None, "%s" % facts)
        check("in_chunk: in a chunk of this node" in told(first, tx_id), told(first, tx_id))
        check(state(second, tx_id) == "unknown", "another node claims to know")
        code, answer = submit(first, tx, "sync")
        check(code == 409 and answer["state"] == "in_chunk", "again: %d %s" % (code, answer))
        code, answer = submit(first, tx, "executed&timeout_ms=1")
        check(code == 504 and answer["state"] == "in_chunk", "timeout: %d %s" % (code, answer))
        check(first.metric("txs_admitted_total") == 2, "it was admitted again")
        third.start()
        code, answer = submit(first, tx, "executed")
        check(code == 200 and answer["state"] == "executed", "%d %s" % (code, answer))
        height = answer["height"]
        for node in (first, second, third):
            until("it ran there", lambda: state(node, tx_id) == "executed")
            facts = json.loads(told(node, tx_id, "--json"))
            check((facts["height"], facts["code"], facts["reason"]) == (height, 0, "ok"), "%s" % facts)
        check("executed: it ran and succeeded" in told(second, tx_id), told(second, tx_id))
        until("the other can never run", lambda: state(first, short) in ("expired", "executed"))
        counters(first)


def counters(node):
    """One admission, one observation; each refusal counted once."""
    metrics = node.metrics()
    for name in ("certified", "executed"):
        count = metrics["dsmr_tx_%s_seconds_count" % name]
        check(count == metrics['dsmr_tx_%s_seconds_bucket{le="+Inf"}' % name], name)
        check(1 <= count <= 2 and metrics["dsmr_tx_%s_seconds_sum" % name] > 0, name)
    check(metrics["dsmr_submit_txs_total"] == 5, "offered: %s" % metrics["dsmr_submit_txs_total"])
    check(node.errors("duplicate") == 3, "duplicates: %s" % node.errors("duplicate"))
    before = node.errors("expired")
    code, _ = submit(node, opaque_tx(-5000), "sync")
    check(code == 410 and node.errors("expired") == before + 1, "expired: %d" % code)


if __name__ == "__main__":
    main(stages)
