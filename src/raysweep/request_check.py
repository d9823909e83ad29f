"""What a sweep asks for, looked at before anything is read or started: the space, metrics, thresholds, no secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from raysweep.config import SweepConfig, require_target
from raysweep.errors import RequestInvalid
from raysweep.records.aims import check_aims
from raysweep.space import SearchSpace, load_space
from raysweep.stages.export.asked_formats import check_formats
from raysweep.stages.search.grid import check_grid
from raysweep.stages.validate.thresholds import resolve_thresholds
from raysweep.stages.validate.user_schema import UserSchema, read_user_schema
from raysweep.storage.secret_values import described, find_secrets, process_secrets
from raysweep.training.families import check_space, families, possible_spaces, space_without_rows


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that contradicts nothing.

    Attributes:
        space: with every family of it known.
        schema: what `checks.schema` says, if anything.
        said: what is done otherwise than it was asked, a sentence each.
        secrets: that this process knows of, by the names of where they come from.
    """

    space: SearchSpace
    schema: UserSchema | None
    said: tuple[str, ...]
    secrets: Mapping[str, str] = field(repr=False)


def check_asked(config: SweepConfig) -> Asked:
    """Look at everything in a request that needs neither data, store nor Ray.

    Raises:
        RequestInvalid, NotFound: something that was asked for is wrong.
    """
    require_target(config)
    check_aims(config.search)
    space = load_space(config.search.space, base=Path())
    check_space(space)
    said: tuple[str, ...] = ()
    if config.export.rows == "none":
        space, left_out = space_without_rows(space)
        if left_out:
            said = (
                f"left out of the search, since export.rows is none and their models hold rows: {', '.join(left_out)}",
            )
    _check_workers(config, space)
    secrets = process_secrets()
    _refuse_secrets(config, space, secrets)
    if config.search.algorithm == "grid":
        check_grid(possible_spaces(space, config.data.task))
    resolve_thresholds(config.checks)
    check_formats(config.export.formats)
    return Asked(space, read_user_schema(config), said, secrets)


def _check_workers(config: SweepConfig, space: SearchSpace) -> None:
    """Refuse several workers where no family that may win can be spread over them."""
    workers, known = config.search.trial.workers, families()
    if workers > 1 and not any(known[name].takes_blocks for name in space.families):
        able = ", ".join(name for name, family in known.items() if family.takes_blocks)
        raise RequestInvalid(
            f"search.trial.workers is {workers}, but no fit of {', '.join(space.families)} can be spread over several "
            f"workers: set it to 1, or search {able}, too"
        )


def _refuse_secrets(config: SweepConfig, space: SearchSpace, secrets: Mapping[str, str]) -> None:
    """What is asked stands in the run's journal from the beginning, and in its bundle."""
    asked = {
        **config.model_dump(mode="json", by_alias=True),
        "search.space": space.model_dump(mode="json", by_alias=True),
        "defaults": {name: dict(families()[name].defaults) for name in space.families},
    }
    found = dict.fromkeys(find_secrets(asked, secrets))
    problems = [f"{path} holds {described(name)}" for path, name in found]
    if problems:
        raise RequestInvalid(
            f"{'; '.join(problems)}: what is asked is published. Take it out; what runs a trial can read the variable",
            problems=problems,
        )
