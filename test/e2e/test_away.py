#!/usr/bin/env python3
"""A node that was away fetches what it missed from the signers."""
from net import Net, check, finish, main, until

CHUNKS = 300


def fetches_300_chunks():
    with Net(4) as net:
        away, others = net.nodes[3], net.nodes[:3]
        until("it is part of the chain", lambda: away.height() >= 1)
        away.kill()
        load = net.bench("--load", "transfers", "--rate", "300", "--duration", "60", nodes=others)
        until("enough chunks", lambda: sum(n.metric("certs_formed_total") for n in others) > CHUNKS)
        load.terminate()
        code, _, err = finish(load)
        check(code == 0, "load: %s" % err)
        away.start()
        until("it has caught up", lambda: away.executed() >= others[0].height() > 0)
        check(away.metric("chunks_fetched_total") >= CHUNKS,
              "fetched %d" % away.metric("chunks_fetched_total"))
        net.await_equal_roots()


if __name__ == "__main__":
    main(fetches_300_chunks)
