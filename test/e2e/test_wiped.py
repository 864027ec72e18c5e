#!/usr/bin/env python3
"""A validator that lost its disk and kept its key learns from the others which of its votes it does
not know, abstains for so long, and then is one like any other. One that starts for the first time, on
the home that its key was made in, has nothing to learn."""
import os
import shutil

from net import Net, Testnet, check, finish, main, until

LOST = "older than this node's journal of votes"


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
            check(LOST in lines.read(), "it did not notice what it had lost")
        check(wiped.metric("bft_abstains") == 0, "it still abstains")
        until("it has caught up", lambda: wiped.executed() >= others[0].height() > 0)
        net.await_equal_roots()


def start_late(is_copied):
    """The log of a validator that starts when the others have left the first view."""
    with Testnet(4) as net:
        late, others = net.nodes[3], net.nodes[:3]
        mark = os.path.join(late.home, "data", "never-voted")
        check(os.path.exists(mark), "there is no mark")
        for node in others:
            node.start()
        load = net.bench("--load", "opaque", "--rate", "100", "--duration", "10", nodes=others)
        until("the chain has begun", lambda: others[0].height() >= 5)
        if is_copied:
            shutil.copy2(mark, mark + ".copy")
            os.replace(mark + ".copy", mark)
        late.start()
        check(not os.path.exists(mark), "the mark is still there")
        until("it is well", lambda: late.http("/health")[0] == 200)
        code, _, err = finish(load)
        check(code == 0, "load: %s" % err)
        until("it has caught up", lambda: late.executed() >= others[0].height() > 0)
        check(late.metric("bft_abstains") == 0, "it abstains")
        with open(os.path.join(late.home, "node.log")) as log:
            return log.read()


def starts_late():
    check(LOST not in start_late(False), "it believes that it has lost its votes")


def starts_late_on_a_copy():
    log = start_late(True)
    check("data/never-voted does not count: it is a copy" in log, "nothing is said of the copy")
    check(LOST in log, "a copy of the mark counted")


if __name__ == "__main__":
    main(comes_back_without_its_disk, starts_late, starts_late_on_a_copy)
