"""What a run's journal says of the run itself: what was asked, of which rows; and what may differ when it goes on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from raysweep.bundle.locate import resume_command
from raysweep.config import SweepConfig, load_config
from raysweep.documents import canonical_json, plain_record, shorten
from raysweep.errors import DataUnsuitable, NotFound, RequestInvalid
from raysweep.records.table import LearningTask, Profile, Split
from raysweep.space import load_space

MAY_CHANGE: Final = (
    *("search.trials", "search.stop", "search.space", "search.concurrency", "search.trial"),
    *("cluster", "confirm", "export.top", "export.formats", "export.sign"),
)
PUBLISHING: Final = "publishing"
_SAME_RULES: Final = ("checks.schema",)  # their file may lie elsewhere: what they come to is compared
WHERE_IT_LIES: Final = ("export.to", "export.s3")
_MAX_SHOWN: Final = 5
_WHY_NOT: Final = {
    "data": "the rows, the target or the features would not be the same, and scores could not be compared",
    "checks": "what the data checks leave out would not be the same, and scores could not be compared",
    "split": "the parts would not be the same, and scores could not be compared",
    "search": "what has been tried was proposed and scored under it",
    "export": "a run stays where it is",
}


@dataclass(frozen=True, slots=True)
class History:
    """A run so far.

    Attributes:
        records: all that count, in order; none for a run that begins.
        epochs: how many drivers have claimed it.
    """

    records: Sequence[Mapping[str, Any]] = ()
    epochs: int = 0

    @property
    def asked(self) -> Mapping[str, Any] | None:
        """The newest record of what was asked; None where the run ended before it wrote one."""
        return next(self._newest("sweep"), None)

    @property
    def split(self) -> Mapping[str, Any] | None:
        """The record of how the rows were split; None where it did not come to that."""
        return next(self._newest("split"), None)

    @property
    def search_rows(self) -> int | str | None:
        """How many rows the search was to get, or `all`; None where that is not decided yet."""
        if self.split is None:
            return None
        found = self.split.get("sample_rows")
        return "all" if found is None else int(found)

    @property
    def lineage(self) -> tuple[str, ...]:
        """The published runs that this one goes on from, oldest first, each as `<run id>@sha256:<of its manifest>`."""
        return tuple(str(record["of"]) for record in self._newest("lineage"))  # the newest stands first of all

    @property
    def announced(self) -> frozenset[str]:
        """The files that its drivers were about to put beside the journal."""
        return frozenset(str(key) for record in self._newest(PUBLISHING) for key in record["files"])

    def config(self) -> SweepConfig | None:
        """What was asked, with the defaults of this version for what it could not know.

        A space that was named is the one of then; where its name or file holds another one now, it is spelled out.
        """
        if self.asked is None:
            return None
        try:
            return load_config(_with_its_space(self.asked))
        except RequestInvalid as error:
            raise RequestInvalid(
                f"the run was begun by raysweep {self.asked['raysweep']}, and this one ({version('raysweep')}) cannot "
                f"read what it was asked: {error}. Go on with the version that began it, or start a new run",
                problems=error.problems,
            ) from error

    def _newest(self, event: str) -> Iterator[Mapping[str, Any]]:
        return (record for record in reversed(self.records) if record.get("event") == event)


def sweep_record(run_id: str, config: SweepConfig) -> dict[str, Any]:
    """The journal's record of what is asked, and what a named space holds: its name may mean another one later."""
    asked = config.model_dump(mode="json", by_alias=True)
    space = load_space(config.search.space, base=Path()).model_dump(mode="json", by_alias=True)
    record = {"event": "sweep", "version": 1, "run_id": run_id, "raysweep": version("raysweep"), "config": asked}
    return record | {"space": space if isinstance(config.search.space, str) else None}


def _with_its_space(asked: Mapping[str, Any]) -> Mapping[str, Any]:
    config: Mapping[str, Any] = asked["config"]
    then = asked.get("space")
    if then is None:
        return config
    with suppress(NotFound):
        if load_space(config["search"]["space"], base=Path()) == load_space(then, base=Path()):
            return config
    return {**config, "search": {**config["search"], "space": then}}


def split_record(split: Split, profile: Profile, task: LearningTask) -> dict[str, Any]:
    """The journal's record of the rows and columns that all scores are about."""
    return {
        "event": "split",
        "parts": {part.value: {"rows": one.rows, "digest": one.digest} for part, one in split.parts.items()},
        "folds": split.folds,
        "rows": profile.rows,
        "row_digest": profile.row_digest,
        "features": [column.name for column in task.features],
        "sample_rows": None if split.sample is None else split.sample.wanted,
    }


def lineage_record(run_id: str, manifest_sha256: str) -> dict[str, Any]:
    """The journal's record of the published run whose records follow."""
    return {"event": "lineage", "of": f"{run_id}@sha256:{manifest_sha256}"}


def publishing_record(files: Iterable[str]) -> dict[str, Any]:
    """The journal's record of the files that are about to be put beside it."""
    return {"event": PUBLISHING, "files": list(files)}


def check_same_request(before: SweepConfig, now: SweepConfig, address: str) -> None:
    """Refuse to go on with a run that was asked something else.

    Raises:
        RequestInvalid: naming the first paths that differ.
    """
    paths = differences(before, now)
    if not paths:
        return
    changes = _changes(paths, before, now)
    more = resume_command(address, before, "search.trials=200")
    raise RequestInvalid(
        f"the run {address} began with another sweep: {'; '.join(changes)}. Choose another run id (--run) for this "
        f"one; or go on with that run: `{resume_command(address, before)}`, also with more budget or a wider space: "
        f"`{more}`",
        problems=changes,
    )


def check_changes(before: SweepConfig, now: SweepConfig) -> None:
    """Refuse changes under which what was tried so far would be worth nothing.

    Raises:
        RequestInvalid: naming each, and why.
    """
    may = MAY_CHANGE if now.checks.schema_file is None else (*MAY_CHANGE, *_SAME_RULES)
    may = MAY_CHANGE if before.checks.schema_file is None else may
    refused = [path for path in _differing(_plain(before), _plain(now), "") if not _is_among(path, may)]
    if not refused:
        return
    reasons = [f"{path}: {_WHY_NOT.get(path.partition('.')[0], 'it is part of what the run is')}" for path in refused]
    raise RequestInvalid(
        f"--set cannot change this of a run that goes on: {'; '.join(reasons[:_MAX_SHOWN])}. It can change "
        f"{', '.join(MAY_CHANGE)}; for anything else start a new run: `raysweep run`",
        problems=reasons,
    )


def check_same_rows(history: History, profile: Profile) -> None:
    """Refuse to go on over a table that is not the one of the run so far.

    Raises:
        DataUnsuitable: rows were added, removed or changed.
    """
    before = history.split
    if before is None or before["row_digest"] == profile.row_digest:
        return
    raise DataUnsuitable(
        f"the data have changed since the run began: {_table(before['rows'], before['row_digest'])} then, "
        f"{_table(profile.rows, profile.row_digest)} now. The scores so far are about the rows as they were: restore "
        "data.source, or start a new run with another run id (--run)"
    )


def check_same_split(history: History, record: Mapping[str, Any]) -> None:
    """Refuse to go on where the same rows are dealt out or read otherwise than before.

    Raises:
        DataUnsuitable: naming what differs.
    """
    before = history.split
    if before is None:
        return
    kinds = [kind for kind in ("parts", "folds", "features") if before[kind] != plain_record(record[kind])]
    if not kinds:
        return
    begun = None if history.asked is None else history.asked["raysweep"]
    raise DataUnsuitable(
        f"the rows are those with which the run began, but not the {' and '.join(kinds)} that come of them: "
        f"{_difference(before[kinds[0]], record[kinds[0]])}. New scores could not be compared with those so far. The "
        f"run began with raysweep {begun}, this is {version('raysweep')}; go on with the version and the rules "
        "(checks.schema) that it began with, or start a new run with another run id (--run)"
    )


def differences(before: SweepConfig, now: SweepConfig) -> list[str]:
    """The paths at which two sweeps differ, but for where they are exported to, and where a file of rules lies.

    A cluster job has its files in another folder each time. What the rules come to is compared by `check_same_split`.
    """
    elsewhere: tuple[str, ...] = WHERE_IT_LIES
    if before.checks.schema_file is not None and now.checks.schema_file is not None:
        elsewhere = (*elsewhere, *_SAME_RULES)
    paths = _differing(_plain(before), _plain(now), "")
    return [path for path in paths if not _is_among(path, elsewhere)]


def value_at(config: SweepConfig, path: str) -> Any:
    """The plain value at a path such as `search.trials`."""
    value: Any = _plain(config)
    for key in path.split("."):
        value = value[key]
    return value


def _plain(config: SweepConfig) -> dict[str, Any]:
    plain: dict[str, Any] = config.model_dump(mode="json", by_alias=True)
    return plain


def _differing(before: object, now: object, path: str) -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in sorted({*before, *now}):
            yield from _differing(before.get(key), now.get(key), f"{path}.{key}" if path else str(key))
    elif canonical_json(before) != canonical_json(now):
        yield path


def _is_among(path: str, sections: Iterable[str]) -> bool:
    return any(path == section or path.startswith(f"{section}.") for section in sections)


def _changes(paths: Sequence[str], before: SweepConfig, now: SweepConfig) -> list[str]:
    shown = [f"{path} was {_value(before, path)}, is {_value(now, path)}" for path in paths[:_MAX_SHOWN]]
    rest = len(paths) - len(shown)
    return [*shown, f"and {rest} more"] if rest else shown


def _value(config: SweepConfig, path: str) -> str:
    value: Any = _plain(config)
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return shorten(canonical_json(value).decode(), 40)


def _table(rows: int, row_digest: str) -> str:
    return f"{rows:,} rows (sha256 {row_digest[:12]})"


def _difference(before: object, now: object) -> str:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        key = next(key for key in sorted({*before, *now}) if before.get(key) != now.get(key))
        return f"{key}: {_difference(before.get(key), now.get(key))}"
    if isinstance(before, list) and isinstance(now, list):
        gone, new = [one for one in before if one not in now], [one for one in now if one not in before]
        return f"gone {shorten(', '.join(map(str, gone)) or 'none')}, new {shorten(', '.join(map(str, new)) or 'none')}"
    return f"{before} then, {now} now"
