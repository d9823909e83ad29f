"""The search space: which families, which parameters, under which conditions, tried first where."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from raysweep.documents import Document, parse_document, read_yaml, read_yaml_file, suggest
from raysweep.errors import NotFound, RequestInvalid

ParamValue = bool | int | float | str | None


class Param(Document):
    """One parameter: exactly one of `int`, `float` (bounds, both included) or `choice`.

    Attributes:
        when: the parameter exists only where these other parameters have these values.
    """

    int_: Annotated[tuple[int, int] | None, Field(alias="int")] = None
    float_: Annotated[tuple[float, float] | None, Field(alias="float")] = None
    choice: Annotated[tuple[ParamValue, ...] | None, Field(min_length=1)] = None
    log: bool = False
    step: Annotated[float, Field(gt=0)] | None = None
    when: Mapping[str, ParamValue] = {}

    @model_validator(mode="after")
    def _check(self) -> Param:
        kinds = [kind for kind in (self.int_, self.float_, self.choice) if kind is not None]
        if len(kinds) != 1:
            raise ValueError(
                f"give exactly one of int: [low, high], float: [low, high], choice: [...], not {len(kinds)} of them"
            )
        if self.choice is not None:
            if self.log or self.step is not None:
                raise ValueError("log and step belong to int and float, not to choice")
            if len({(type(value), value) for value in self.choice}) < len(self.choice):
                raise ValueError(f"choice holds a value twice: {list(self.choice)}")
            return self
        low, high = self.bounds
        if low > high:
            raise ValueError(f"the bounds are reversed: [{low}, {high}]; write [{high}, {low}]")
        if self.log and low <= 0:
            raise ValueError(f"log: true needs a lower bound above 0, not {low}; give a small one, such as 1e-8")
        if self.log and self.step is not None:
            raise ValueError("log and step exclude each other")
        if self.int_ is not None and self.step is not None and self.step != int(self.step):
            raise ValueError(f"the step of an int must be a whole number, not {self.step}")
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest value of an `int` or `float`."""
        if self.int_ is not None:
            return self.int_
        if self.float_ is not None:
            return self.float_
        raise TypeError("a choice has no bounds")

    def contains(self, value: object) -> bool:
        """Whether `value` may be proposed."""
        if self.choice is not None:
            return any(type(value) is type(option) and value == option for option in self.choice)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return False
        if self.int_ is not None and value != int(value):
            return False
        low, high = self.bounds
        return low <= value <= high and self._is_on_grid(value)

    def _is_on_grid(self, value: float) -> bool:
        """Whether whole steps lead from the lower bound to `value`."""
        if self.step is None:
            return True
        steps = (value - self.bounds[0]) / self.step
        return abs(steps - round(steps)) < 1e-6  # noqa: PLR2004 - rounding, in steps

    def __str__(self) -> str:
        if self.choice is not None:
            return f"one of {list(self.choice)}"
        low, high = self.bounds
        kind = "int" if self.int_ is not None else "float"
        step = f" in steps of {self.step:g}" if self.step is not None else ""
        return f"{kind} in [{low}, {high}]{' (log)' if self.log else ''}{step}"


class Effort(Document):
    """What full effort is, for a family that grows in rounds; the others ignore it."""

    rounds: Annotated[int, Field(ge=1)] | None = None


class FamilySpace(Document):
    """The part of the space that belongs to one family of learners."""

    params: Mapping[str, Param] = {}
    fixed: Mapping[str, ParamValue] = {}
    start: tuple[Mapping[str, ParamValue], ...] = ()
    effort: Effort = Effort()

    @model_validator(mode="after")
    def _check(self) -> FamilySpace:
        problems = [f"{name} is both searched and fixed" for name in self.params if name in self.fixed]
        for name, param in self.params.items():
            problems.extend(self._condition_problems(name, param))
        for number, point in enumerate(self.start):
            problems.extend(f"start[{number}].{problem}" for problem in self._point_problems(point))
        if problems:
            raise ValueError("; ".join(problems))
        if len(self.ordered) < len(self.params):
            circle = sorted(set(self.params) - set(self.ordered))
            raise ValueError(f"the conditions of {', '.join(circle)} wait for each other")
        return self

    def _condition_problems(self, name: str, param: Param) -> list[str]:
        problems = []
        for other, value in param.when.items():
            if other in self.params and not self.params[other].contains(value):
                problems.append(f"{name}.when: {other} can never be {value!r}, it is {self.params[other]}")
            elif other not in self.params and other not in self.fixed:
                problems.append(
                    f"{name}.when: there is no parameter {other!r}{suggest(other, [*self.params, *self.fixed])}"
                )
        return problems

    def _point_problems(self, point: Mapping[str, ParamValue]) -> list[str]:
        problems = []
        for name, value in point.items():
            if name not in self.params:
                problems.append(f"{name}: no such parameter{suggest(name, self.params)}")
            elif not self.params[name].contains(value):
                problems.append(f"{name}: {value!r} is outside of {self.params[name]}")
        return problems

    @cached_property
    def ordered(self) -> tuple[str, ...]:
        """The names of the parameters, each after those that its condition names."""
        done: dict[str, None] = {}
        waiting = dict(self.params)
        while waiting:
            ready = [
                name
                for name, param in waiting.items()
                if all(other in done or other in self.fixed for other in param.when)
            ]
            if not ready:
                break
            for name in ready:
                done[name] = None
                del waiting[name]
        return tuple(done)

    def is_active(self, name: str, values: Mapping[str, ParamValue]) -> bool:
        """Whether the condition of parameter `name` holds, given the values of those before it."""
        known = {**self.fixed, **values}
        return all(
            other in known and known[other] == wanted and isinstance(known[other], bool) == isinstance(wanted, bool)
            for other, wanted in self.params[name].when.items()
        )


class SearchSpace(Document):
    """A search space: `version: 1` and one section a family."""

    version: Literal[1]
    families: Annotated[Mapping[str, FamilySpace], Field(min_length=1)]


def shipped_spaces() -> dict[str, Path]:
    """Name and file of every space that comes with raysweep."""
    packed = Path(str(files("raysweep"))) / "search_spaces"
    folder = packed if packed.is_dir() else Path(__file__).resolve().parents[2] / "search_spaces"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_space(space: str | Mapping[str, Any], *, base: Path) -> SearchSpace:
    """The space that `search.space` names: a shipped one, a file, or the space itself.

    Args:
        space: a shipped space's name, the path of a YAML file, or the keys of a space.
        base: the folder that a relative path starts from.

    Raises:
        RequestInvalid: the space has problems; all are named.
        NotFound: no shipped space and no file has that name.
    """
    if not isinstance(space, str):
        return parse_document(SearchSpace, space, place="search.space")
    shipped = shipped_spaces()
    if space in shipped:
        return _read_shipped(shipped[space])
    path = base / space
    if path.suffix not in {".yaml", ".yml", ".json"} and not path.exists():
        raise NotFound(
            f"search.space: {space!r} is neither a shipped space ({', '.join(shipped)}) nor a file"
            f"{suggest(space, shipped)}"
        )
    return parse_document(SearchSpace, read_yaml_file(path), place=str(path))


@cache
def _read_shipped(path: Path) -> SearchSpace:
    """A space that comes with raysweep; every config is held against one, and YAML takes its time."""
    values = read_yaml(path.read_text(encoding="utf-8"), place=path.stem)
    return parse_document(SearchSpace, values, place=f"the shipped space {path.stem}")


def check_families(space: SearchSpace, known: Mapping[str, frozenset[str]]) -> None:
    """Refuse families that do not exist, and parameters that a family does not know.

    Args:
        space: the space to check.
        known: the parameter names of each family that is registered.

    Raises:
        RequestInvalid: with every problem.
    """
    problems = []
    for family, section in space.families.items():
        if family not in known:
            problems.append(
                f"families.{family}: unknown family (known: {', '.join(known)}){suggest(family, known)}; one of your "
                "own is registered first, in the process that runs the sweep (raysweep.register_family), or by an "
                "installed package"
            )
            continue
        problems += [
            f"families.{family}: no parameter {name!r}{suggest(name, known[family])}"
            for name in (*section.params, *section.fixed)
            if name not in known[family]
        ]
    if problems:
        raise RequestInvalid("search.space: " + "; ".join(problems), problems=problems)
