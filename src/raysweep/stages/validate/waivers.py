"""Findings that the sweep file accepts: with a reason, up to a bound, until a day. Never without a trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from raysweep.config import Waiver
from raysweep.records.table import Finding, Severity

_LOUD = frozenset({Severity.ERROR, Severity.WARNING})


def apply_waivers(
    findings: Sequence[Finding], waivers: Sequence[Waiver], today: date
) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """The findings with those that are accepted marked so, and a sentence for each waiver that met none.

    A waiver that has ended, or whose bound is crossed, changes nothing but the finding's message.
    """
    judged = tuple(_judged(finding, waivers, today) for finding in findings)
    unused = tuple(
        f"checks.accept: {_named(waiver)} met no finding; it can go"
        for waiver in waivers
        if not any(_is_meant(waiver, finding) for finding in findings)
    )
    return judged, unused


def _judged(finding: Finding, waivers: Sequence[Waiver], today: date) -> Finding:
    for waiver in waivers:
        if not _is_meant(waiver, finding):
            continue
        if waiver.until is not None and today > waiver.until:
            return _said(finding, f"checks.accept accepted it until {waiver.until}")
        if finding.amount > waiver.max:
            return _said(finding, f"checks.accept accepts it up to {waiver.max:g}, and it is {finding.amount:.4g}")
        until = f", until {waiver.until}" if waiver.until is not None else ""
        return replace(finding, severity=Severity.WAIVED, waived=f"{waiver.reason} (up to {waiver.max:g}{until})")
    return finding


def _is_meant(waiver: Waiver, finding: Finding) -> bool:
    return finding.severity in _LOUD and finding.check == waiver.check and waiver.column in {None, finding.column}


def _said(finding: Finding, words: str) -> Finding:
    return replace(finding, message=f"{finding.message} ({words})")


def _named(waiver: Waiver) -> str:
    return waiver.check if waiver.column is None else f"{waiver.check} of {waiver.column}"
