"""The findings as `data/findings.json`."""

from __future__ import annotations

from typing import Any, Final

from raysweep.records.table import DataCheck, Finding

SCHEMA_VERSION: Final = 1


def findings_document(check: DataCheck) -> dict[str, Any]:
    """The keys and values of findings.json: plain JSON values."""
    return {
        "schema_version": SCHEMA_VERSION,
        "suitability": check.suitability.value,
        "findings": [_finding(finding) for finding in check.findings],
        "left_out": dict(check.left_out),
        "said": [] if check.task is None else list(check.task.said),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "check": finding.check,
        "severity": finding.severity.value,
        "message": finding.message,
        "advice": finding.advice,
        "column": finding.column,
        "count": finding.count,
        "share": finding.share,
        "threshold": finding.threshold,
        "examples": list(finding.examples),
        "leaves_out": finding.leaves_out,
    }
