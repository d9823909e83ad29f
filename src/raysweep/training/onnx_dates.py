"""Parts of an instant as ONNX arithmetic on int64: microseconds since 1970, UTC (the calendar: Hinnant 2014)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from onnx import TensorProto

from raysweep.training.onnx_graph import Graph
from raysweep.training.onnx_inputs import MISSING_DATE
from raysweep.training.preprocess import DATE_PARTS

_MICROS_A_DAY: Final = 86_400_000_000
_DAYS_TO_YEAR_ONE: Final = 719_162  # from 0001-01-01 to 1970-01-01
_DAYS_TO_MARCH_ZERO: Final = 719_468  # from 0000-03-01 to 1970-01-01
_DAYS_AN_ERA: Final = 146_097  # 400 years
_THURSDAY: Final = 3


@dataclass(slots=True)
class _Whole:
    """Arithmetic on whole numbers in a graph; division rounds down."""

    graph: Graph

    def of(self, value: int) -> str:
        """A number."""
        return self.graph.constant(np.int64(value))

    def plus(self, one: str, two: str | int) -> str:
        """The sum."""
        return self.graph.op("Add", one, self._named(two))

    def minus(self, one: str, two: str | int) -> str:
        """The difference."""
        return self.graph.op("Sub", one, self._named(two))

    def times(self, one: str, two: int) -> str:
        """The product."""
        return self.graph.op("Mul", one, self.of(two))

    def rest(self, one: str, two: int) -> str:
        """What is left of a division, never negative."""
        return self.graph.op("Mod", one, self.of(two))

    def over(self, one: str, two: int) -> str:
        """The quotient, rounded down: ONNX itself rounds towards zero."""
        return self.graph.op("Div", self.minus(one, self.rest(one, two)), self.of(two))

    def _named(self, value: str | int) -> str:
        return value if isinstance(value, str) else self.of(value)


def date_parts(graph: Graph, date: str) -> list[str]:
    """The parts that the preprocessing makes of a date, each double, NaN where it is missing."""
    return [date_part(graph, date, part) for part in DATE_PARTS]


def date_part(graph: Graph, date: str, part: str) -> str:
    """One part of a date, named as in `data.prepare`; double, NaN where it is missing."""
    missing = graph.op("Equal", date, graph.constant(np.int64(MISSING_DATE)))
    micros = graph.op("Where", missing, graph.constant(np.int64(0)), date)
    found = graph.cast(_part(_Whole(graph), micros, part), TensorProto.DOUBLE)
    return graph.op("Where", missing, graph.constant(np.float64(np.nan)), found)


def _part(whole: _Whole, micros: str, part: str) -> str:  # noqa: PLR0911 - one line a part
    days = whole.over(micros, _MICROS_A_DAY)
    seconds = whole.over(whole.rest(micros, _MICROS_A_DAY), 1_000_000)
    match part:
        case "days":
            return days
        case "weekday":
            return _weekday(whole, days)
        case "hour":
            return whole.over(seconds, 3_600)
        case "minute":
            return whole.rest(whole.over(seconds, 60), 60)
        case "second":
            return whole.rest(seconds, 60)
        case "week":
            thursday = whole.plus(whole.minus(days, _weekday(whole, days)), _THURSDAY)
            return whole.plus(whole.over(_day_of_year(whole, thursday), 7), 1)
        case "day_of_year":
            return whole.plus(_day_of_year(whole, days), 1)
        case "quarter":
            return whole.over(whole.plus(_civil(whole, days)[1], 2), 3)
        case _:
            return _civil(whole, days)[("year", "month", "day").index(part)]


def _weekday(whole: _Whole, days: str) -> str:
    """From 0 for Monday; 1970-01-01 was a Thursday."""
    return whole.rest(whole.plus(days, _THURSDAY), 7)


def _day_of_year(whole: _Whole, days: str) -> str:
    """From 0."""
    before = whole.minus(_civil(whole, days)[0], 1)
    leaps = whole.plus(whole.minus(whole.over(before, 4), whole.over(before, 100)), whole.over(before, 400))
    first = whole.minus(whole.plus(whole.times(before, 365), leaps), _DAYS_TO_YEAR_ONE)
    return whole.minus(days, first)


def _civil(whole: _Whole, days: str) -> tuple[str, str, str]:
    """Year, month and day; years are counted from March, so that the leap day ends one."""
    shifted = whole.plus(days, _DAYS_TO_MARCH_ZERO)
    era, of_era = whole.over(shifted, _DAYS_AN_ERA), whole.rest(shifted, _DAYS_AN_ERA)
    leaps = whole.minus(whole.over(of_era, 36_524), whole.over(of_era, 1_460))
    leaps = whole.minus(leaps, whole.over(of_era, _DAYS_AN_ERA - 1))
    year_of_era = whole.over(whole.plus(of_era, leaps), 365)
    gone = whole.minus(
        whole.plus(whole.times(year_of_era, 365), whole.over(year_of_era, 4)), whole.over(year_of_era, 100)
    )
    of_year = whole.minus(of_era, gone)
    from_march = whole.over(whole.plus(whole.times(of_year, 5), 2), 153)
    begun = whole.over(whole.plus(whole.times(from_march, 153), 2), 5)
    day = whole.plus(whole.minus(of_year, begun), 1)
    month = whole.plus(whole.rest(whole.plus(from_march, 2), 12), 1)
    next_year = whole.over(whole.plus(from_march, 2), 12)
    year = whole.plus(whole.plus(whole.times(era, 400), year_of_era), next_year)
    return year, month, day
