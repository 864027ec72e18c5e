#!/usr/bin/env python3
"""Nodes that are stopped (SIGSTOP) for longer than all timeouts, and go on (SIGCONT) as if nothing had
been: one, until the others have hung up on it; all, for some views."""
import signal
import time

from net import Testnet, check, main, until
from promises import PARAMS, Promises

VIEW_S = 1  # how long a leader has


def peers(node):
    return node.metric("peers")


def one_until_the_others_hang_up():
    with Testnet(4, app="opaque", params=PARAMS) as net:
        net.start_all()
        with Promises(net, 1) as promises:
            stopped, others = net.nodes[3], net.nodes[:3]
            until("all are connected", lambda: all(peers(n) == 3 for n in net.nodes))
            net.nodes = others  # clients do not ask who cannot answer
            stopped.process.send_signal(signal.SIGSTOP)
            before = others[0].height()
            until("the others go on", lambda: all(n.executed() > before + 10 for n in others))
            until("they have hung up", lambda: all(peers(n) == 2 for n in others))
            promises.until_promised()
            stopped.process.send_signal(signal.SIGCONT)
            net.nodes = others + [stopped]
            until("back within two blocks of the others",
                  lambda: stopped.executed() + 2 >= others[0].height() > before)
            until("all are connected again", lambda: all(peers(n) == 3 for n in net.nodes))
            promises.until_promised()
        print(promises.judge())
        check(all(n.metric("evidence_total") == 0 for n in net.nodes), "somebody lied")


def all_for_some_views():
    with Testnet(4, app="transfers", params=PARAMS) as net:
        net.start_all()
        with Promises(net, 2) as promises:
            for stopped in (net.nodes, net.nodes[1:3], net.nodes[:1]):
                for node in stopped:
                    node.process.send_signal(signal.SIGSTOP)
                time.sleep(3 * VIEW_S)  # who is stopped tells nothing that could be waited for
                for node in stopped:
                    node.process.send_signal(signal.SIGCONT)
                promises.look()
                promises.until_promised()
        print(promises.judge())


if __name__ == "__main__":
    main(one_until_the_others_hang_up, all_for_some_views)
