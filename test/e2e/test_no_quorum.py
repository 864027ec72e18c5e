#!/usr/bin/env python3
"""Memory and disk stay at their limits while a quorum is missing and everybody produces.

The limits are small and the load is many times over them, so that growth could not hide: each of
the two producers may have PENDING bytes signed for and neither included nor expired, each node
holds MEMPOOL bytes of transactions, and all else is refused.
"""
from net import Testnet, await_chain, await_equal_roots, check, main, until

MIB = 1 << 20
TX_BYTES = 32 << 10
PENDING = 2 * MIB
PENDING_ALL = 2 * PENDING  # of the two that are left
MEMPOOL = 2 * MIB
FLOOD = 8 * (PENDING_ALL + MEMPOOL)  # offered to each node after all is full
PARAMS = {"pending_bytes_max": PENDING, "chunk_bytes_max": MIB, "block_payload_bytes_max": 8 * MIB,
          "backlog_bytes_max": 32 * MIB, "slot_ms": 50}
MEMORY_MB = 12  # what a node may gain over PENDING_ALL and MEMPOOL: buffers, tables
RECORDS_MB = 8  # and its disk over PENDING_ALL: records of chunks, allocated ahead


def is_full(node):
    """No further chunk fits into either quota, and a transaction was refused."""
    metrics = node.metrics()
    return (metrics.get("dsmr_pending_bytes", 0) > PENDING_ALL - 2 * (TX_BYTES + 4096) and
            node.errors("mempool_full") > 0)


def check_limits(node, before):
    metrics = node.metrics()
    check(metrics["dsmr_pending_bytes"] <= PENDING_ALL, "%d bytes pending" %
          metrics["dsmr_pending_bytes"])
    check(metrics["dsmr_mempool_bytes"] <= MEMPOOL, "the mempool is over its limit")
    bodies = node.disk_mb("data/chunks")
    check(bodies <= 1.1 * PENDING_ALL / 1e6, "bodies of chunks: %.1f MB" % bodies)
    gained = node.disk_mb() - before["disk"]
    check(gained <= PENDING_ALL / 1e6 + RECORDS_MB, "disk: %.1f MB more" % gained)
    gained = node.memory_mb() - before["memory"]
    check(gained <= (PENDING_ALL + MEMPOOL) / MIB + MEMORY_MB, "memory: %.1f MB more" % gained)


def bounded_without_quorum():
    with Testnet(4, params=PARAMS, env={"DSMR_MEMPOOL_BYTES": str(MEMPOOL)}) as net:
        net.start_all()
        left = net.nodes[:2]
        await_chain(net.nodes)
        for node in net.nodes[2:]:
            node.kill()
        height = left[0].height()
        before = [{"memory": node.memory_mb(), "disk": node.disk_mb()} for node in left]
        load = net.bench("--load", "opaque", "--tx-bytes", str(TX_BYTES), "--rate", "400",
                         "--duration", "600", nodes=left)
        until("all is full", lambda: all(is_full(node) for node in left))
        # From here on everything that comes is over the limits.
        full = [node.metrics() for node in left]
        refused = [node.errors("mempool_full") for node in left]

        def is_flooded():
            for node, was in zip(left, before):
                check_limits(node, was)
            return all(node.metric("submit_txs_total") * TX_BYTES >=
                       was["dsmr_submit_txs_total"] * TX_BYTES + FLOOD
                       for node, was in zip(left, full))
        until("many times the limits were offered", is_flooded)
        for node, was, errors in zip(left, full, refused):
            offered = node.metric("submit_txs_total") - was["dsmr_submit_txs_total"]
            check(node.errors("mempool_full") - errors > 0.9 * offered, "it took what came")
        check(load.poll() is None, "the load ended: nothing was shown")
        check(left[0].height() <= height + 1, "blocks without a quorum")
        load.kill()
        for node in net.nodes[2:]:
            node.start(net.env)
        until("the chain goes on", lambda: left[0].height() > height + 1)
        until("nothing waits", lambda: all(n.metric("mempool_txs") == 0 and
                                           n.metric("pending_bytes") == 0 for n in left))
        await_equal_roots(net.nodes)


if __name__ == "__main__":
    main(bounded_without_quorum)
