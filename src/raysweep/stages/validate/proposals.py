"""What the findings and the structure suggest, as lines for the sweep file; nothing of it is applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from raysweep.records.table import ColumnKind, Finding, Proposal, Severity, Structure
from raysweep.stages.validate.context import Context
from raysweep.stages.validate.sweep_lines import exclusion, flow

_TOO_LATE: Final = frozenset({"leak.copy", "leak.single_feature", "leak.missingness", "leak.missing_together"})
_NEEDLESS: Final = frozenset({"col.duplicate", "col.near_duplicate"})
_PREPARED: Final = "data.prepare: ["
_TURNS: Final = ("to_null", "normalize_text", "to_number", "to_date", "clip", "group_rare")


def propose(
    context: Context, findings: Sequence[Finding], structure: Structure, left_out: Mapping[str, str]
) -> tuple[Proposal, ...]:
    """The proposals, the weightiest first."""
    loud = [one for one in findings if one.severity in {Severity.ERROR, Severity.WARNING}]
    checks = {one.check: one for one in loud}
    too_late = _columns(
        [one for one in loud if one.severity is Severity.ERROR or one.check == "leak.missing_together"], _TOO_LATE
    )
    needless = [name for name in _columns(loud, _NEEDLESS) if name not in too_late and name not in left_out]
    proposals = []
    if too_late or needless:  # one line, since a key may stand in the sweep file once
        said = [f"{', '.join(too_late)}: known only with the target?"] if too_late else []
        said += [f"{', '.join(needless)}: said by another column"] if needless else []
        proposals.append(Proposal(exclusion(*too_late, *needless), "; ".join(said)))
    if context.target is not None:
        proposals += _splits(context, checks, structure)
    rules = [one.advice.partition(_PREPARED)[2].removesuffix("]") for one in loud if _PREPARED in one.advice]
    rules = [rule for rule in rules if context.config.data.time is None or flow([context.config.data.time]) not in rule]
    rules.sort(key=_turn)
    if rules:
        joined = f"{_PREPARED}{', '.join(dict.fromkeys(rules))}]"
        proposals.append(Proposal(joined, "see the findings that name these columns"))
    return tuple(proposals)


def _splits(context: Context, checks: Mapping[str, Finding], structure: Structure) -> list[Proposal]:
    """One other way to split: what was measured to flatter, else what the columns suggest; time before groups."""
    if context.config.data.group is not None or context.config.data.time is not None:
        return []
    if "leak.time" in checks:
        return _by_time(str(checks["leak.time"].column), checks["leak.time"].message)
    if "leak.group" in checks:
        name, why = str(checks["leak.group"].column), checks["leak.group"].message
        return [Proposal(f"data.group: {flow(name)}", why)]
    for name in _split_times(context, structure)[:1]:
        return _by_time(name, f"if predictions are made for rows later than all that {name} shows")
    return [
        Proposal(f"data.group: {flow(name)}", f"if rows with the same {name} belong together")
        for name in structure.groups[:1]
    ]


def _split_times(context: Context, structure: Structure) -> list[str]:
    """Dates that are dates in the source: what a rule makes of them does not count for the split."""
    prepared = {name for rule in context.config.data.prepare for name in rule.columns}
    kinds = {column.name: column.kind for column in context.columns}
    return [name for name in structure.times if kinds[name] is ColumnKind.DATETIME and name not in prepared]


def _turn(rule: str) -> int:
    """When a rule has to have its turn: what is no value goes first, and what changes the kind before what needs it."""
    return next(turn for turn, name in enumerate(_TURNS) if f"rule: {name}," in rule)


def _by_time(name: str, why: str) -> list[Proposal]:
    split = Proposal("split.kind: time", f"the earliest rows by {name} train, the latest validate")
    return [Proposal(f"data.time: {flow(name)}", why), split]


def _columns(findings: Sequence[Finding], checks: frozenset[str]) -> list[str]:
    return list(dict.fromkeys(one.column for one in findings if one.check in checks and one.column is not None))
