#!/usr/bin/env python3
"""Memory and disk stay bounded while a quorum is missing and everybody produces."""
import time

from net import Net, check, main, until

MEMPOOL_TXS = 5000
OBSERVED_S = 8


def bounded_without_quorum():
    with Net(4, env={"DSMR_MEMPOOL_TXS": str(MEMPOOL_TXS)}) as net:
        left = net.nodes[:2]
        until("the chain runs", lambda: left[0].height() >= 1)
        for node in net.nodes[2:]:
            node.kill()
        height = left[0].height()
        load = net.bench("--load", "transfers", "--rate", "4000", "--duration", "60", nodes=left)
        until("a full mempool says so", lambda: all(n.errors("mempool_full") > 0 for n in left))
        # From here on everything that comes is over the limits.
        refused = [node.errors("mempool_full") for node in left]
        end = time.monotonic() + OBSERVED_S
        while time.monotonic() < end:
            for node in left:
                metrics = node.metrics()
                check(metrics["dsmr_mempool_txs"] <= MEMPOOL_TXS, "the mempool is over its limit")
                check(node.memory_mb() < 400, "memory: %d MB" % node.memory_mb())
                check(node.disk_mb() < 400, "disk: %d MB" % node.disk_mb())
            time.sleep(0.2)
        check(load.poll() is None, "the load ended: nothing was shown")
        for node, before in zip(left, refused):
            check(node.errors("mempool_full") > before, "it was not full all the time")
        check(left[0].height() <= height + 1, "blocks without a quorum")
        load.kill()
        load.wait()
        for node in net.nodes[2:]:
            node.start()
        until("the chain goes on", lambda: left[0].height() > height + 1)
        until("the mempools drain", lambda: all(n.metric("mempool_txs") == 0 for n in left))
        net.await_equal_roots()


if __name__ == "__main__":
    main(bounded_without_quorum)
