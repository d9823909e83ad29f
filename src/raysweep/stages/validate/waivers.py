"""Findings that the sweep file accepts: with a reason, up to a bound, until a day. Never without a trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from raysweep.config import Waiver
from raysweep.records.table import Finding, Severity

_LOUD = frozenset({Severity.ERROR, Severity.WARNING})


def apply_waivers(findings: Sequence[Finding], waivers: Sequence[Waiver], today: date) -> tuple[Finding, ...]:
    """The findings, those that are accepted marked so.

    A waiver that has ended, or whose bound is crossed, changes nothing but the finding's message.
    """
    return tuple(_judged(finding, waivers, today) for finding in findings)


def unused_waivers(findings: Sequence[Finding], waivers: Sequence[Waiver]) -> tuple[str, ...]:
    """A sentence for each waiver that met none of the findings."""
    return tuple(
        f"checks.accept: {_named(waiver)} met no finding; it can go"
        for waiver in waivers
        if not any(_is_meant(waiver, finding) for finding in findings)
    )


def _judged(finding: Finding, waivers: Sequence[Waiver], today: date) -> Finding:
    said = ""
    for waiver in waivers:
        if not _is_meant(waiver, finding) or finding.severity not in _LOUD:
            continue
        if waiver.until is not None and today > waiver.until:
            said = f" (checks.accept accepted it until {waiver.until})"
        elif finding.amount > waiver.max:
            said = f" (checks.accept accepts it up to {waiver.max:g}, and it is {finding.amount:.4g})"
        else:
            until = f", until {waiver.until}" if waiver.until is not None else ""
            return replace(finding, severity=Severity.WAIVED, waived=f"{waiver.reason} (up to {waiver.max:g}{until})")
    return replace(finding, message=finding.message + said)


def _is_meant(waiver: Waiver, finding: Finding) -> bool:
    is_loud = finding.severity in _LOUD or finding.waived is not None
    return is_loud and finding.check == waiver.check and waiver.column in {None, finding.column}


def _named(waiver: Waiver) -> str:
    return waiver.check if waiver.column is None else f"{waiver.check} of {waiver.column}"
