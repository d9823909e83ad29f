"""Then and now of each stage up to the search: records in, what differs out. No Ray, no learner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from raysweep.config import SweepConfig
from raysweep.documents import plain_record, shorten
from raysweep.prepare_rules import rule_documents
from raysweep.records.manifest import DataRecord, Manifest, PartRecord, SearchRecord, SplitRecord
from raysweep.records.table import Column, LearningTask
from raysweep.records.trial import Candidate, Trial
from raysweep.reproduction.outcome import Compared, StageCompared, StageName
from raysweep.rows.canonical import type_name

_NAMED: Final = 5
_SHOWN: Final = 12  # digits of a sha256
_RULE: Final = ("kind", "seed", "key", "shares", "group", "time", "column", "embargo", "cuts", "folds")


def compare_data(
    manifest: Manifest, then: Mapping[str, Any], now: Mapping[str, Any], columns: Sequence[Column]
) -> StageCompared:
    """The table: its rows and values, whatever their order, its columns, and what the rules make of them.

    Args:
        manifest: of the bundle; it has the columns of the source.
        then: profile.json, as published; it has the columns after the rules of `data.prepare`.
        now: the same of the table as it is.
        columns: of the source as it is.
    """
    data = manifest.data
    digest = Compared(
        "sha256 of all rows",
        _digits(data.row_digest),
        _digits(now["row_digest"]),
        same=data.row_digest == now["row_digest"],
    )
    files = [
        [(one["address"].rpartition("/")[2], one["size_bytes"]) for one in source]
        for source in (plain_record(data.files), now["source"]["files"])
    ]
    before, after = then.get("columns", ()), now["columns"]
    compared = [
        Compared.of("rows", data.rows, now["rows"]),
        Compared.of("columns", data.columns, len(columns)),
        *_types(data, before, after, columns),
        digest,
        _statistics(before, after),
        Compared.told("files", word(files[0]), word(files[1])),
    ]
    return StageCompared(StageName.DATA, tuple(compared))


def compare_checks(then: Mapping[str, Any], now: Mapping[str, Any]) -> StageCompared:
    """What the data checks say; `then` and `now` are findings.json."""
    before, after = (_findings(one) for one in (then, now))
    compared = [
        Compared.of("suitability", then.get("suitability"), now["suitability"]),
        Compared.of("columns left out", word(sorted(then.get("left_out", {}))), word(sorted(now["left_out"]))),
        _named("findings", before, after),
    ]
    return StageCompared(StageName.CHECKS, tuple(compared))


def compare_preparation(manifest: Manifest, asked: SweepConfig, task: LearningTask) -> StageCompared:
    """What is learned from what: the task, the columns that the model takes, and the rules of `data.prepare`."""
    rules = rule_documents(asked.data.prepare)
    compared = [
        _equal("rules of data.prepare", plain_record(manifest.data.prepare), plain_record(rules), len),
    ]
    signature = manifest.signature
    if signature is not None:
        described = [
            [f"{one.name} ({type_name(one.kind, one.type)})" for one in inputs]
            for inputs in (signature.inputs, task.inputs)
        ]
        compared += [
            Compared.of("target", signature.target, task.target),
            Compared.of("kind of task", signature.task.value, task.kind.value),
            Compared.of("classes", word(list(signature.classes)), word(list(task.classes))),
            _named("inputs", *described),
        ]
    return StageCompared(StageName.PREPARATION, tuple(compared))


def compare_splits(then: SplitRecord, now: SplitRecord) -> StageCompared:
    """By which rule the rows were dealt out, and which rows each part got."""
    compared = []
    for name in _RULE:
        before, after = (plain_record(getattr(one, name)) for one in (then, now))
        if [before, after] not in ([None, None], [[], []]):
            compared.append(Compared.of(name, word(before), word(after)))
    for name, part in then.parts.items():
        compared += _parts(name, part, now.parts[name])
    compared += [
        Compared.of("rows in no part", word(_some(then.left_out)), word(_some(now.left_out))),
        Compared.of("keys in several parts", then.keys_shared, now.keys_shared),
        Compared.of(
            "rows of the search's sample", word(sorted(then.sampled.items())), word(sorted(now.sampled.items()))
        ),
    ]
    return StageCompared(StageName.SPLIT, tuple(compared))


def compare_searches(
    then: SearchRecord, winner: Trial, again: Candidate, asked: SweepConfig, task: LearningTask
) -> StageCompared:
    """What was looked for and how, and the candidate that won: its identity and its seed, worked out again.

    Args:
        then: the manifest's record.
        winner: as published.
        again: the same family and params, with the digest and the seed that they have now.
        asked: the sweep as it is asked now.
        task: with the metric.
    """
    config, won = asked.search, winner.candidate
    compared = [
        Compared.of("metric", then.metric, task.metric.name),
        Compared.of("objectives", word(list(then.objectives)), word(list(config.objectives))),
        Compared.of("constraints", word(dict(then.constraints)), word(dict(config.constraints))),
        Compared.of("algorithm", then.algorithm, config.algorithm),
        Compared.of("scheduler", then.scheduler, config.pruning),
        Compared.of("seed", then.seed, config.seed),
        Compared.of("winner's digest", won.digest, again.digest),
        Compared.of("winner's seed", won.seed, again.seed),
    ]
    return StageCompared(StageName.SEARCH, tuple(compared))


def _parts(name: str, before: PartRecord, after: PartRecord) -> Iterator[Compared]:
    yield Compared.of(f"{name} rows", before.rows, after.rows)
    same = before.digest == after.digest
    yield Compared(f"sha256 of {name} keys", _digits(before.digest), _digits(after.digest), same=same)
    if before.first is not None or after.first is not None:
        yield Compared.of(f"{name} times", f"{before.first} to {before.last}", f"{after.first} to {after.last}")


def compare_params(then: Mapping[str, Any], now: Mapping[str, Any]) -> Compared:
    """By name, where they differ."""
    names = [name for name in sorted(then.keys() | now.keys()) if then.get(name) != now.get(name)]
    if not names:
        return Compared("params", len(then), len(now), same=True)
    before, after = ({name: one.get(name) for name in names} for one in (then, now))
    return Compared("params", word(before), word(after), same=False)


def _types(
    data: DataRecord, before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]], columns: Sequence[Column]
) -> Iterator[Compared]:
    """Of the source, where the manifest has them, and after the rules, where there are any."""
    if data.schema_columns:
        described = [
            [f"{one.name} ({type_name(one.kind, one.type)})" for one in of] for of in (data.schema_columns, columns)
        ]
        yield _named("names and types of columns", *described)
    if data.prepare or not data.schema_columns:
        described = [[f"{one['name']} ({one['type']})" for one in of] for of in (before, after)]
        yield _named("names and types of prepared columns", *described)


def _statistics(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> Compared:
    known = {one["name"]: _of_itself(one) for one in before}
    common = [one for one in after if one["name"] in known]
    differing = [shorten(one["name"]) for one in common if _of_itself(one) != known[one["name"]]]
    now = f"differ in {_listed(differing)}" if differing else f"{len(common):,} columns"
    return Compared("statistics of columns", f"{len(common):,} columns", now, same=not differing)


def _of_itself(column: Mapping[str, Any]) -> dict[str, Any]:
    """What profile.json says of a column but for its relation to the target, which another target changes too."""
    frequent = [(one["value"], one["count"]) for one in column.get("most_frequent") or ()]
    return {**column, "most_frequent": frequent, "by_class": None, "nulls_with_target_missing": None}


def _named(what: str, before: Sequence[str], after: Sequence[str]) -> Compared:
    """Two lists in short: where they differ, by what stands in one alone."""
    if list(before) == list(after):
        return Compared(what, len(before), len(after), same=True)
    gone = [one for one in before if one not in after]
    new = [one for one in after if one not in before]
    if not gone and not new:
        return Compared(what, len(before), f"{len(after)} in another order", same=False)
    return Compared(what, _listed(gone) or len(before), _listed(new) or f"without {_listed(gone)}", same=False)


def _equal(what: str, before: Any, after: Any, show: Any) -> Compared:
    return Compared(what, show(before), show(after) if before == after else word(after), same=before == after)


def _findings(document: Mapping[str, Any]) -> list[str]:
    found = document.get("findings", ())
    return sorted(f"{one['severity']} {one['check']} {one['column'] or ''}: {one['message']}" for one in found)


def _some(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(shorten(one, 120) for one in names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def word(value: Any) -> Any:
    """Plain numbers and texts as they are, anything else in short."""
    if value is None or isinstance(value, bool | int | float):
        return value
    return shorten(value if isinstance(value, str) else str(value), 120)


def _digits(digest: str) -> str:
    return f"{digest[:_SHOWN]}..."
