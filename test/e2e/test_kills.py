#!/usr/bin/env python3
"""A few blows of kills.py on each application; `make kills` deals more of them."""
from kills import kills
from net import main


def transfers():
    print(kills(4, 1, "transfers"))


def opaque():
    print(kills(5, 2, "opaque"))


if __name__ == "__main__":
    main(transfers, opaque)
