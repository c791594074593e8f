"""Functions of one row that fail in odd ways; a worker imports no more than this."""

import sys


class MuteError(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class OddError(Exception):
    """Cannot be unpickled."""

    def __init__(self, one, two):
        super().__init__(one)


def raises_mute(x):
    raise MuteError


def raises_odd(x):
    raise OddError(1, 2)


def exits(x):
    sys.exit(3)
