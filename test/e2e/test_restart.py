#!/usr/bin/env python3
"""Nodes that are killed come back; nothing reported executed is lost, nothing runs twice."""
from net import Net, check, finish, main, until


def kill_one_under_load():
    with Net(4) as net:
        load = net.bench("--load", "transfers", "--rate", "400",
                         "--duration", "20", nodes=net.nodes[:3])
        victim = net.nodes[3]
        until("blocks", lambda: victim.height() > 5)
        victim.kill()
        others = net.nodes[0]
        before = others.height()
        until("the others go on", lambda: others.height() > before + 10)
        victim.start()
        check(load.poll() is None, "the load ended before the node was back")
        until("back within two blocks while the load continues",
              lambda: load.poll() is None and victim.executed() + 2 >= others.height() > before)
        code, summary, err = finish(load)
        check(code == 0, "load: %s" % err)
        check(summary["executed_txs"] > 0, "nothing was executed")
        net.await_equal_roots()


def kill_all_and_restart():
    with Net(4) as net:
        load = net.bench("--load", "transfers", "--rate", "400",
                         "--duration", "60")
        until("work", lambda: net.nodes[0].metric("txs_executed_total") > 1000)
        executed = [node.executed() for node in net.nodes]
        roots = {}
        for node, height in zip(net.nodes, executed):
            roots[height] = node.root_at(height)
        for node in net.nodes:
            node.kill()
        load.kill()
        load.wait()
        for node in net.nodes:
            node.start()
        net.await_equal_roots()
        for node, height in zip(net.nodes, executed):
            check(node.executed() >= height, "a block that was reported executed is lost")
        for height, root in roots.items():
            for node in net.nodes:
                check(node.root_at(height) == root, "another root at height %d" % height)
        before = net.nodes[0].height()
        code, summary, err = finish(net.bench("--load", "transfers", "--rate", "200", "--duration", "3"))
        check(code == 0, "the network does not work after the restart: %s" % err)
        check(net.nodes[0].height() > before, "no new block")
        height, _ = net.await_equal_roots()
        ids = set()
        for h in range(1, height + 1):
            _, block = net.nodes[0].http("/v1/block/%d" % h)
            for tx in block.get("executed_txs", []):
                check(tx["id"] not in ids, "executed twice: " + tx["id"])
                ids.add(tx["id"])


if __name__ == "__main__":
    main(kill_one_under_load, kill_all_and_restart)
