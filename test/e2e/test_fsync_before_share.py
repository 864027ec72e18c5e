#!/usr/bin/env python3
"""A share leaves only after its chunk is durable: seen from outside the program.

dsmrd_watched is dsmrd with watch_fsync.c between it and the libraries of TLS and C, which numbers what happens. For every share
that left there must be, begun after the request came and ended before the share went, a sync of a
file of chunk bodies and one of the database that names them.
"""
import hashlib
import os
import signal

from net import BUILD, Net, check, finish, main, until

WATCHED = os.path.join(BUILD, "e2e", "dsmrd_watched")
WANTED = ("/data/chunks/", "/data/consensus/data.mdb")


def read_log(path):
    """(chunk id -> number of its first request, [(number, chunk id)] of shares, syncs)"""
    requests, shares, syncs = {}, [], []
    with open(path) as log:
        for line in log:
            words = line.split()
            if words[0] == "R":
                chunk = hashlib.sha256(bytes.fromhex(words[2])).hexdigest()
                requests.setdefault(chunk, int(words[1]))
            elif words[0] == "W":
                shares.append((int(words[1]), words[2]))
            else:
                syncs.append((int(words[1]), int(words[2]), words[3]))
    return requests, shares, syncs


def undurable(requests, shares, syncs):
    """The shares that left without the syncs."""
    bad = []
    for left, chunk in shares:
        came = requests[chunk]
        for part in WANTED:
            if not any(part in path and came < begun and ended < left
                       for begun, ended, path in syncs):
                bad.append((chunk, part))
    return bad


def record(mode):
    """Node 3 of 4 is watched while the others produce."""
    with Net(4) as net:
        node = net.nodes[3]
        until("the chain runs", lambda: node.height() >= 1)
        node.kill(signal.SIGTERM)
        log = os.path.join(net.directory, "watch.log")
        node.start(env={"DSMR_WATCH_LOG": log, "DSMR_WATCH_SYNC": mode}, program=WATCHED)
        until("it is connected", lambda: node.status()["peers_connected"] == 3)
        load = net.bench("--load", "transfers", "--rate", "200", "--duration", "60",
                         nodes=net.nodes[:3])
        until("shares", lambda: node.metric("chunks_shared_total") >= 100)
        load.terminate()
        check(finish(load)[0] == 0, "the load failed")
        node.kill(signal.SIGTERM)
        return read_log(log)


def every_share_is_durable():
    check(os.path.exists(WATCHED), WATCHED + " is missing: build the target e2e_helpers")
    requests, shares, syncs = record("all")
    check(len(shares) >= 100, "only %d shares were seen" % len(shares))
    bad = undurable(requests, shares, syncs)
    check(not bad, "%d of %d shares left too early: %s" % (len(bad), len(shares), bad[:3]))
    # The check can fail: take away one sync that it needed, or all of them.
    left, chunk = shares[len(shares) // 2]
    for part in WANTED:
        fewer = [s for s in syncs
                 if not (part in s[2] and requests[chunk] < s[0] and s[1] < left)]
        check((chunk, part) in undurable(requests, shares, fewer), "the check sees nothing")


def a_node_without_syncs_is_caught():
    requests, shares, syncs = record("none")
    check(len(shares) >= 100 and not syncs, "the node shared nothing, or synced")
    check(len(undurable(requests, shares, syncs)) >= len(shares), "nothing was noticed")


if __name__ == "__main__":
    main(every_share_is_durable, a_node_without_syncs_is_caught)
