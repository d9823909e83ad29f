"""Every combination of a grid over the space, in an order drawn from the seed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from raysweep.errors import RequestInvalid
from raysweep.records.trial import Params
from raysweep.space import FamilySpace, Param, ParamValue, SearchSpace

MAX_COMBINATIONS: Final = 1_000_000
FEW: Final = 10  # so many whole numbers are all tried
SPREAD: Final = 5  # so many values stand for a range

_Known = tuple[tuple[str, ParamValue], ...]


def grid_values(param: Param) -> tuple[ParamValue, ...]:
    """The values of a parameter that a grid has: all where they are few or have a step, else some evenly spread."""
    if param.choice is not None:
        return param.choice
    low, high = param.bounds
    if param.int_ is None:
        return _floats(low, high, param)
    if param.step is not None or high - low < FEW:
        return tuple(range(int(low), int(high) + 1, int(param.step or 1)))
    return tuple(sorted({round(value) for value in _spread(low, high, log=param.log)}))


def _floats(low: float, high: float, param: Param) -> tuple[float, ...]:
    if param.step is not None:
        return tuple(float(min(high, low + number * param.step)) for number in range(_steps(param)))
    return tuple(dict.fromkeys(_spread(low, high, log=param.log)))


def _spread(low: float, high: float, *, log: bool) -> tuple[float, ...]:
    """Values from bound to bound, evenly spread; both bounds exactly."""
    between = np.geomspace(low, high, SPREAD) if log else np.linspace(low, high, SPREAD)
    return (float(low), *(float(value) for value in between[1:-1]), float(high))


def _steps(param: Param) -> int:
    """How many values a parameter with a step has; 1 without one."""
    if param.step is None:
        return 1
    low, high = param.bounds
    return math.floor((high - low) / param.step + 1e-9) + 1


class FamilyGrid:
    """The combinations of one family, counted and found by number without being listed.

    A parameter that another one waits for has the values, too, that are waited for.
    """

    def __init__(self, section: FamilySpace) -> None:
        self._section = section
        self._names = section.ordered
        asked = [(name, value) for param in section.params.values() for name, value in param.when.items()]
        self._switches = frozenset(name for name, _ in asked)
        self._values = {
            name: _with(grid_values(param), [value for other, value in asked if other == name], param)
            for name, param in section.params.items()
        }
        self._counted: dict[tuple[int, str], int] = {}

    @property
    def size(self) -> int:
        """How many combinations there are."""
        return self._count(0, ())

    def __getitem__(self, number: int) -> Params:
        """The values of a combination, by its number from 0."""
        chosen: dict[str, ParamValue] = {}
        known: _Known = ()
        for position, name in enumerate(self._names):
            if not self._section.is_active(name, chosen):
                continue
            if name not in self._switches:
                index, number = divmod(number, self._count(position + 1, known))
                chosen[name] = self._values[name][index]
                continue
            for value in self._values[name]:
                below = self._count(position + 1, (*known, (name, value)))
                if number < below:
                    chosen[name], known = value, (*known, (name, value))
                    break
                number -= below
        return chosen

    def _count(self, position: int, known: _Known) -> int:
        """How many combinations there are of the parameters from a position on.

        Args:
            position: in the order of the parameters.
            known: the values so far that conditions may ask for.
        """
        key = (position, repr(known))  # 1, 1.0 and True are three values
        if key not in self._counted:
            self._counted[key] = self._count_anew(position, known)
        return self._counted[key]

    def _count_anew(self, position: int, known: _Known) -> int:
        if position == len(self._names):
            return 1
        name = self._names[position]
        if not self._section.is_active(name, dict(known)):
            return self._count(position + 1, known)
        values = self._values[name]
        if name not in self._switches:
            return len(values) * self._count(position + 1, known)
        return sum(self._count(position + 1, (*known, (name, value))) for value in values)


def _with(values: tuple[ParamValue, ...], wanted: list[ParamValue], param: Param) -> tuple[ParamValue, ...]:
    if param.choice is not None:
        return values
    return (*values, *(value for value in dict.fromkeys(wanted) if value not in values))


class Grid:
    """The combinations of all families in an order drawn from the seed, so that any first part is a random subset.

    Raises:
        RequestInvalid: there are too many of them.
    """

    def __init__(self, space: SearchSpace, seed: int) -> None:
        for name, section in space.families.items():
            for key, param in section.params.items():
                _refuse_many(_steps(param), f"families.{name}.params.{key} alone has {_steps(param):,} values")
        self._families = {name: FamilyGrid(section) for name, section in space.families.items()}
        sizes = {name: grid.size for name, grid in self._families.items()}
        self.size = sum(sizes.values())
        listed = ", ".join(f"{name} {size:,}" for name, size in sizes.items())
        _refuse_many(self.size, f"the grid over this space has {self.size:,} combinations ({listed})")
        self._seed = seed

    def __iter__(self) -> Iterator[tuple[str, Params]]:
        """Family and values of each combination."""
        for number in np.random.default_rng(self._seed).permutation(self.size).tolist():
            yield self._find(number)

    def _find(self, number: int) -> tuple[str, Params]:
        for name, grid in self._families.items():
            if number < grid.size:
                return name, grid[number]
            number -= grid.size
        raise IndexError(number)


def check_grid(spaces: Iterable[SearchSpace]) -> None:
    """Refuse a grid that is too large, whichever of these spaces the data turn out to want.

    Raises:
        RequestInvalid: every one of them has too many combinations.
    """
    problem: RequestInvalid | None = None
    for space in spaces:
        try:
            Grid(space, 0)
        except RequestInvalid as error:
            problem = error
        else:
            return
    if problem is not None:
        raise problem


def _refuse_many(count: int, words: str) -> None:
    if count > MAX_COMBINATIONS:
        raise RequestInvalid(
            f"search.algorithm grid: {words}, and {MAX_COMBINATIONS:,} are the most that a grid may have. Search fewer "
            "parameters, give choices or larger steps, or take search.algorithm random"
        )
