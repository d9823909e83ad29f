"""Which candidates may run beside one another: by the memory that their families have taken so far."""

from __future__ import annotations

from collections.abc import Iterable


class MemoryPlan:
    """Learns how much memory the trials of each family take, and holds back what would not fit beside what runs.

    A family that has not been tried yet counts as nothing: the first trials are the measurement.
    """

    def __init__(self) -> None:
        self._most: dict[str, int] = {}

    def learn(self, family: str, peak_bytes: int) -> None:
        """A trial of the family has taken so much at its peak."""
        self._most[family] = max(peak_bytes, self._most.get(family, 0))

    def need(self, family: str) -> int:
        """The most that a trial of the family has taken so far."""
        return self._most.get(family, 0)

    def fits(self, family: str, running: Iterable[str], room: int | None) -> bool:
        """Whether a trial may begin.

        Args:
            family: of the candidate.
            running: the families of the trials that run on the same node.
            room: what the node had to give before any trial ran, in bytes; None: not known, and nothing is held back.
        """
        beside = list(running)
        if room is None or not beside:
            return True
        return self.need(family) + sum(self.need(other) for other in beside) <= room
