"""The findings as `data/findings.json`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from raysweep.documents import plain_record
from raysweep.records.table import DataCheck

SCHEMA_VERSION: Final = 1


def without_examples(check: DataCheck) -> DataCheck:
    """The outcome of the gate without the values of single rows that findings show; where they stand is kept."""
    return replace(check, findings=tuple(replace(finding, examples=()) for finding in check.findings))


def findings_document(check: DataCheck) -> dict[str, Any]:
    """The keys and values of findings.json: plain JSON values."""
    return {
        "schema_version": SCHEMA_VERSION,
        "suitability": check.suitability.value,
        "findings": plain_record(check.findings),
        "left_out": dict(check.left_out),
        "said": [] if check.task is None else list(check.task.said),
        "meanings": {name: meaning.value for name, meaning in check.meanings.items()},
        "structure": {
            "groups": list(check.structure.groups),
            "times": list(check.structure.times),
            "dependencies": {name: list(others) for name, others in check.structure.dependencies},
        },
        "proposals": [{"line": one.line, "why": one.why} for one in check.proposals],
        "unused_waivers": list(check.unused_waivers),
    }
