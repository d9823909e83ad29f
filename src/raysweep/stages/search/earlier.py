"""What a run's journal tells of the drivers before this one: what they took, whether they ended, what may follow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from raysweep.config import PriceConfig, SearchConfig
from raysweep.documents import digest
from raysweep.errors import RequestInvalid
from raysweep.records.journal_order import RESUMED, as_it_happened
from raysweep.records.trial import Capacity, Period, SlotSize, over_time
from raysweep.space import SearchSpace
from raysweep.training.families import families, full_rounds

# What the first records of a driver are: the journal's own, and that of the search; the driver before has died by then.
NEW_DRIVER: Final = frozenset({RESUMED, "search"})


@dataclass(frozen=True, slots=True)
class Slots:
    """How many trials run at a time, and what each of them holds.

    Attributes:
        plain: how many of them hold no GPU though the others do: they are for families that cannot use one.
    """

    count: int
    size: SlotSize
    plain: int = 0

    def cost_per_second(self, price: PriceConfig | None) -> float:
        """Of all of them; 0 where no price is known."""
        if price is None:
            return 0.0
        gpus = (self.count - self.plain) * self.size.gpus
        return (self.count * self.size.cpus * price.cpu + gpus * price.gpu) / 3600

    @property
    def document(self) -> dict[str, Any]:
        """What the journal says of them beside their size."""
        return {"slots": self.count} | ({"plain": self.plain} if self.plain else {})

    @classmethod
    def read(cls, record: Mapping[str, Any], size: SlotSize) -> Slots:
        """From a record of the journal."""
        return cls(int(record["slots"]), size, int(record.get("plain", 0)))


@dataclass(frozen=True, slots=True)
class Driver:
    """One that has searched.

    Attributes:
        period: its time, until what it wrote last.
        slots: that it began to search with.
        changes: how many seconds after that it had others, and which.
    """

    period: Period
    slots: Slots
    changes: tuple[tuple[float, Slots], ...] = ()

    @property
    def document(self) -> dict[str, Any]:
        """What the journal's record of a search says of it."""
        cluster = {"capacity": asdict(self.period.capacity), "before_seconds": self.period.before}
        return {**self.slots.document, **cluster}

    def cost(self, price: PriceConfig | None) -> float:
        """What its slots have cost while it searched."""
        return over_time(
            self.slots.cost_per_second(price),
            [(after, slots.cost_per_second(price)) for after, slots in self.changes],
            self.period.searching,
        )


def drivers_before(records: Iterable[Mapping[str, Any]]) -> tuple[Driver, ...]:
    """Every driver that has searched, by the journal."""
    found: list[Driver] = []
    began: float | None = None
    for record in as_it_happened(records):
        event = record.get("event")
        if event == "search":
            began = float(record["at"])
            period = Period(Capacity(**record["capacity"]), float(record["before_seconds"]))
            found.append(Driver(period, Slots.read(record, SlotSize(**record["slot"]))))
        elif event in NEW_DRIVER:
            began = None
        elif began is not None and "at" in record:
            after = max(found[-1].period.searching, float(record["at"]) - began)
            found[-1] = _until(found[-1], after, record if event == "cluster" else None)
    return tuple(found)


def _until(driver: Driver, after: float, change: Mapping[str, Any] | None) -> Driver:
    """The driver, last heard of so many seconds after it began to search, perhaps of a change of its cluster."""
    period = replace(driver.period, searching=after)
    if change is None:
        return replace(driver, period=period)
    period = replace(period, changes=(*period.changes, (after, Capacity(**change["capacity"]))))
    slots = Slots.read(change, driver.slots.size)
    return replace(driver, period=period, changes=(*driver.changes, (after, slots)))


def limits_document(config: SearchConfig, price: PriceConfig | None, space: SearchSpace) -> dict[str, Any]:
    """What may end a search: with other limits than those that it ended by, it goes on."""
    prices = None if price is None else price.model_dump(mode="json")
    return {
        "trials": config.trials,
        "price": prices,
        "space": space_digest(space),
        **config.stop.model_dump(mode="json"),
    }


def space_digest(space: SearchSpace) -> str:
    """Identifies a search space."""
    return digest(space.model_dump(mode="json", by_alias=True))[:16]


def why_over(records: Iterable[Mapping[str, Any]], limits: Mapping[str, Any]) -> str | None:
    """Why the search that these records tell of is over by these limits; None where it is not, or has others.

    One that the user has ended is over as well, until somebody asks for the run again with other words.
    """
    last: Mapping[str, Any] = {}
    for record in records:
        event = record.get("event")
        if event in {"search", "searched"} or (event == "sweep" and last.get("interrupted")):
            last = record
    return str(last["stopped_by"]) if last.get("limits") == limits else None


def check_goes_on(records: Sequence[Mapping[str, Any]], space: SearchSpace) -> None:
    """Refuse to go on with trials that this process could not fit again, or whose scores would mean something else.

    Raises:
        RequestInvalid: a family is not known here, or its full effort has changed.
    """
    tried = [record["candidate"] for record in records if record.get("event") == "proposed"]
    names = {str(one["family"]) for one in tried}
    unknown = sorted(names - families().keys())
    if unknown:
        raise RequestInvalid(
            f"the run has tried {', '.join(unknown)}, which this process does not know: register the same "
            "(raysweep.register_family) before raysweep.resume, or install the package that brings it"
        )
    before = {str(one["family"]): one["rounds"] for one in tried}
    for name in sorted(names & space.families.keys()):
        now = full_rounds(name, space)
        if before[name] != now:
            raise RequestInvalid(
                f"search.space: families.{name}.effort.rounds is {now}, and was {before[name]}: its trials were "
                "compared at shares of that. Leave it as it was, or start a new run: `raysweep run`"
            )
