"""What the findings and the structure suggest, as lines for the sweep file; nothing of it is applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from raysweep.records.table import Finding, Proposal, Severity, Structure
from raysweep.stages.validate.context import Context
from raysweep.stages.validate.sweep_lines import exclusion, flow

_TOO_LATE: Final = frozenset({"leak.copy", "leak.single_feature", "leak.missingness", "leak.missing_together"})
_NEEDLESS: Final = frozenset({"col.duplicate", "col.near_duplicate"})
_PREPARED: Final = "data.prepare: ["


def propose(
    context: Context, findings: Sequence[Finding], structure: Structure, left_out: Mapping[str, str]
) -> tuple[Proposal, ...]:
    """The proposals, the weightiest first."""
    loud = [one for one in findings if one.severity in {Severity.ERROR, Severity.WARNING}]
    checks = {one.check: one for one in loud}
    proposals = []
    too_late = _columns(
        [one for one in loud if one.severity is Severity.ERROR or one.check == "leak.missing_together"], _TOO_LATE
    )
    if too_late:
        proposals.append(Proposal(exclusion(*too_late), "they may be known only with the target"))
    if context.target is not None:
        proposals += _splits(context, checks, structure)
    needless = [name for name in _columns(loud, _NEEDLESS) if name not in too_late and name not in left_out]
    if needless:
        proposals.append(Proposal(exclusion(*needless), "they say what other columns say"))
    rules = [one.advice.partition(_PREPARED)[2].removesuffix("]") for one in loud if _PREPARED in one.advice]
    if rules:
        joined = f"{_PREPARED}{', '.join(dict.fromkeys(rules))}]"
        proposals.append(Proposal(joined, "see the findings that name these columns"))
    return tuple(proposals)


def _splits(context: Context, checks: Mapping[str, Finding], structure: Structure) -> list[Proposal]:
    proposals = []
    group = checks.get("leak.group")
    name = group.column if group is not None else next(iter(structure.groups), None)
    if name is not None and context.config.data.group is None:
        why = group.message if group is not None else f"if rows with the same {name} belong together"
        proposals.append(Proposal(f"data.group: {flow(name)}", why))
    time = checks.get("leak.time")
    name = time.column if time is not None else next(iter(structure.times), None)
    if name is not None and context.config.data.time is None:
        why = time.message if time is not None else f"if predictions are made for rows later than all that {name} shows"
        proposals.append(Proposal(f"split: {{kind: time}}, with data.time: {flow(name)}", why))
    return proposals


def _columns(findings: Sequence[Finding], checks: frozenset[str]) -> list[str]:
    return list(dict.fromkeys(one.column for one in findings if one.check in checks and one.column is not None))
