#!/usr/bin/env python3
"""Memory and disk stay bounded while a quorum is missing and everybody produces."""
from net import Net, check, finish, main, until


def bounded_without_quorum():
    with Net(4) as net:
        left = net.nodes[:2]
        until("the chain runs", lambda: left[0].height() >= 1)
        for node in net.nodes[2:]:
            node.kill()
        height = left[0].height()
        # Far more than the quota and the mempool hold together.
        load = net.bench("--load", "transfers", "--rate", "20000",
                         "--duration", "15", nodes=left)
        until("a full mempool says so",
              lambda: left[0].metric('errors_total{name="mempool_full"}') > 0
              or load.poll() is not None)
        finish(load)
        check(left[0].metric('errors_total{name="mempool_full"}') > 0,
              "nothing was refused: the load did not fill it")
        check(left[0].height() <= height + 1, "blocks without a quorum")
        for node in left:
            check(node.memory_mb() < 600, "memory: %d MB" % node.memory_mb())
            check(node.disk_mb() < 600, "disk: %d MB" % node.disk_mb())
        for node in net.nodes[2:]:
            node.start()
        until("the chain goes on", lambda: left[0].height() > height + 1)
        net.await_equal_roots()


if __name__ == "__main__":
    main(bounded_without_quorum)
