"""Then and now of what a sweep was asked and of where it ran: config and environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from raysweep.config import SweepConfig
from raysweep.reproduction.compare import word
from raysweep.reproduction.outcome import Compared, StageCompared, StageName

# Where something lies, what it is called and what runs it: no score depends on that.
_INDIFFERENT: Final = ("name", "export", "cluster", "data.source", "data.s3", "data.format", "search.concurrency")
_STAGE_OF_SECTION: Final = {
    "data.prepare": StageName.PREPARATION,
    "data": StageName.DATA,
    "checks": StageName.CHECKS,
    "split": StageName.SPLIT,
    "search": StageName.SEARCH,
    "confirm.refit": StageName.MODEL,
    "confirm": StageName.FINAL_CHECK,
}
# Told, since floats may depend on them, but no difference by themselves: what they do to a model shows there.
_TOLD: Final = ("platform", "cpu", "cpus", "gpus")


def compare_environment(then: Mapping[str, Any], now: Mapping[str, Any]) -> StageCompared:
    """The interpreter, the kind of machine, and the packages that decide about scores.

    Args:
        then: `environment` of the manifest.
        now: the same of this process.
    """
    compared = [
        Compared.of(name, then[name], now.get(name)) for name in ("python", "implementation", "machine") if name in then
    ]
    packages, installed = then.get("packages", {}), now.get("packages", {})
    compared += [Compared.of(name, version, installed.get(name, "not installed")) for name, version in packages.items()]
    compared += [Compared.told(name, then.get(name), now.get(name)) for name in _TOLD]
    return StageCompared(StageName.ENVIRONMENT, tuple(compared))


def compare_requests(then: SweepConfig, now: SweepConfig) -> tuple[StageCompared, ...]:
    """What is asked otherwise now, each with the stage that it is about."""
    before, after = (dict(_leaves(one.model_dump(mode="json", by_alias=True))) for one in (then, now))
    found = []
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) == after.get(path) or any(_is_below(path, one) for one in _INDIFFERENT):
            continue
        stage = next((stage for section, stage in _STAGE_OF_SECTION.items() if _is_below(path, section)), None)
        if stage is not None:
            compared = Compared.of(f"asked: {path}", word(before.get(path)), word(after.get(path)))
            found.append(StageCompared(stage, (compared,)))
    return tuple(found)


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, below in value.items():
            yield from _leaves(below, f"{path}.{name}" if path else str(name))
    else:
        yield path, value


def _is_below(path: str, section: str) -> bool:
    return path == section or path.startswith(f"{section}.")
