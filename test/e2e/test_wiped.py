#!/usr/bin/env python3
"""A validator that lost its disk and kept its key learns from the others which of its votes it does
not know, abstains for so long, and then is one like any other."""
import os
import shutil

from net import Net, check, finish, main, until


def comes_back_without_its_disk():
    with Net(4) as net:
        wiped, others = net.nodes[3], net.nodes[:3]
        until("it is part of the chain", lambda: wiped.height() >= 1)
        load = net.bench("--load", "transfers", "--rate", "100", "--duration", "20", nodes=others)
        reached = others[0].height() + 5
        until("it has voted", lambda: wiped.height() >= reached)
        wiped.kill()
        data = os.path.join(wiped.home, "data")
        shutil.rmtree(data)
        os.mkdir(data, 0o700)
        log = os.path.join(wiped.home, "node.log")
        before = os.path.getsize(log)
        wiped.start()
        code, _, err = finish(load)
        check(code == 0, "load: %s" % err)
        until("it is well", lambda: wiped.http("/health")[0] == 200)
        with open(log) as lines:
            lines.seek(before)
            check("older than this node's journal of votes" in lines.read(),
                  "it did not notice what it had lost")
        check(wiped.metric("bft_abstains") == 0, "it still abstains")
        until("it has caught up", lambda: wiped.executed() >= others[0].height() > 0)
        net.await_equal_roots()


if __name__ == "__main__":
    main(comes_back_without_its_disk)
