#!/usr/bin/env python3
"""A node that was away fetches what it missed from the signers."""
from net import Net, check, finish, main, until


def fetches_300_chunks():
    with Net(4) as net:
        away = net.nodes[3]
        until("it is part of the chain", lambda: away.height() >= 1)
        away.kill()
        load = net.bench("--load", "transfers", "--rate", "300", "--duration", "12", nodes=net.nodes[:3])
        code, summary, err = finish(load)
        check(code == 0, "load: %s" % err)
        built = sum(node.metric("chunks_built_total") for node in net.nodes[:3])
        check(built >= 300, "only %d chunks were built" % built)
        away.start()
        until("it has caught up", lambda: away.executed() >= net.nodes[0].height() > 0)
        check(away.metric("chunks_fetched_total") >= 300,
              "fetched %d" % away.metric("chunks_fetched_total"))
        net.await_equal_roots()


if __name__ == "__main__":
    main(fetches_300_chunks)
