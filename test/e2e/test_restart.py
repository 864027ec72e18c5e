#!/usr/bin/env python3
"""Nodes that are killed come back; nothing reported executed is lost, nothing runs twice."""
import json
import threading

from net import DSMR, Net, check, finish, main, run, until


def kill_one_under_load():
    with Net(4) as net:
        load = net.bench("--load", "transfers", "--rate", "400", "--duration", "60",
                         nodes=net.nodes[:3])
        victim, others = net.nodes[3], net.nodes[0]
        until("blocks", lambda: victim.height() > 5)
        victim.kill()
        before = others.height()
        until("the others go on", lambda: others.height() > before + 10)
        victim.start()
        until("back within two blocks of the others",
              lambda: victim.executed() + 2 >= others.height() > before)
        check(load.poll() is None, "the load did not continue")
        load.terminate()
        code, summary, err = finish(load)
        check(code == 0, "load: %s" % err)
        check(summary["executed_txs"] > 0, "nothing was executed")
        check(summary["executed_txs"] == summary["admitted_txs"], "lost: %s" % summary)
        net.await_equal_roots()


def kill_one_of_those_loaded():
    """What the killed node had taken is looked up on the others, and is executed, expired or lost:
    the load does not wait for words that cannot come, and ends as its summary says."""
    with Net(4) as net:
        for comes_back in (True, False):
            load = net.bench("--load", "transfers", "--rate", "2000", "--duration", "10",
                             "--warmup", "1", "--verify")
            victim, before = net.nodes[3], net.nodes[0].metric("txs_executed_total")
            until("work", lambda: net.nodes[0].metric("txs_executed_total") > before + 2000)
            victim.kill()
            if comes_back:
                victim.start()
            code, summary, err = finish(load)
            executed, admitted = summary["executed_txs"], summary["admitted_txs"]
            check(summary["drained"], "not drained: %s" % summary)
            check(executed + summary["expired_txs"] + summary["lost_txs"] == admitted,
                  "not accounted for: %s" % summary)
            check(summary["sent_txs"] == admitted + summary["refused_txs"], "%s" % summary)
            check(summary["verified"] and summary["missing_txs"] == 0, "%s" % summary)
            check(summary["executed_twice_txs"] == 0, "%s" % summary)
            good = 0 if comes_back else 69
            check(code == (good if executed * 100 >= admitted * 99 else 1), "%d %s" % (code, err))
            check(summary["state_roots_equal"] == comes_back, "%s" % summary)


class Payer(threading.Thread):
    """Pays one after the other and keeps the ids of what a node called executed."""

    def __init__(self, net, node, account):
        super().__init__()
        self.command = [DSMR, "send", "account-1", "1", "--from", account, "--keys",
                        net.accounts(), "--node", "127.0.0.1:%d" % node.http_port, "--json"]
        self.executed = []
        self.must_end = False
        self.start()

    def run(self):
        while not self.must_end:
            code, out, _ = run(*self.command)
            answer = json.loads(out) if code == 0 else {}
            if answer.get("state") == "executed":
                self.executed.append(answer["tx"])


def kill_all_and_restart():
    with Net(4) as net:
        load = net.bench("--load", "transfers", "--rate", "400", "--duration", "60")
        payers = [Payer(net, node, "account-%d" % (2 + i)) for i, node in enumerate(net.nodes)]
        try:
            until("work", lambda: net.nodes[0].metric("txs_executed_total") > 1000 and
                  all(len(payer.executed) >= 2 for payer in payers))
            executed = [node.executed() for node in net.nodes]
            roots = {h: n.root_at(h) for n, h in zip(net.nodes, executed)}
            for node in net.nodes:
                node.kill()
        finally:
            for payer in payers:
                payer.must_end = True
            load.kill()
            load.wait()
        for payer in payers:
            payer.join()
        for node in net.nodes:
            node.start()
        net.await_equal_roots()
        for node, height in zip(net.nodes, executed):
            check(node.executed() >= height, "a block that was reported executed is lost")
        for height, root in roots.items():
            for node in net.nodes:
                check(root and node.root_at(height) == root, "another root at height %d" % height)
        for tx in [tx for payer in payers for tx in payer.executed]:
            for node in net.nodes:
                code, found = node.http("/v1/tx/" + tx)
                check(code == 200 and found["state"] == "executed", "lost: %s %s" % (tx, found))
        before = net.nodes[0].height()
        code, _, err = finish(net.bench("--load", "transfers", "--rate", "200", "--duration", "2",
                                        "--warmup", "0"))
        check(code == 0, "the network does not work after the restart: %s" % err)
        check(net.nodes[0].height() > before, "no new block")
        height, _ = net.await_equal_roots()
        ids = [tx for h in range(1, height + 1) for tx in net.nodes[0].executed_ids(h)]
        check(len(ids) > 1000, "only %d transactions" % len(ids))
        check(len(ids) == len(set(ids)), "something was executed twice")


if __name__ == "__main__":
    main(kill_one_under_load, kill_one_of_those_loaded, kill_all_and_restart)
