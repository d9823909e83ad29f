"""What a cluster has for the rows of a search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

GIB: Final = 1024**3


@dataclass(frozen=True, slots=True)
class Room:
    """What a cluster has for the rows of a search, in bytes.

    Attributes:
        driver: memory that the driver can still take.
        trial: a trial's share of the memory of the smallest node that runs any.
        store: the object store of the smallest node.
    """

    driver: int
    trial: int
    store: int


# What a search counts with that is to be the same on any cluster.
ASSUMED: Final = Room(driver=8 * GIB, trial=2 * GIB, store=4 * GIB)
