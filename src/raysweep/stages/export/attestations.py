"""What the data checks and the final check came to, as in-toto test results that other tools can read.

Source: the in-toto Attestation Framework, Statement v1, predicate Test Result v0.1 (in-toto.io/attestation).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from raysweep.records.final_check import FinalCheck, Outcome
from raysweep.records.manifest import MODEL_FOLDER, Artifact
from raysweep.records.table import DataCheck, Profile, Severity, Table

FOLDER: Final = "attestations"
_STATEMENT: Final = "https://in-toto.io/Statement/v1"
_TEST_RESULT: Final = "https://in-toto.io/attestation/test-result/v0.1"
_CONFIG: Final = "config/sweep.yaml"


def data_attestation(check: DataCheck, table: Table, profile: Profile, artifacts: Iterable[Artifact]) -> dict[str, Any]:
    """The data checks: the subject is the table, by the digest of its rows (`raysweepRows`)."""
    by_severity = {severity: _ids(check, severity) for severity in Severity}
    failed = by_severity[Severity.ERROR]
    warned = [
        *(name for name in by_severity[Severity.WARNING] if name not in failed),
        *(name for name in by_severity[Severity.WAIVED] if name not in failed),
    ]
    subject = [{"name": table.address, "digest": {"raysweepRows": profile.row_digest}}]
    return _statement(subject, artifacts, passed=check.passed, warned=dict.fromkeys(warned), failed=failed)


def final_attestation(check: FinalCheck, artifacts: Iterable[Artifact]) -> dict[str, Any]:
    """The gates of the final check: the subjects are the files of the model. An inconclusive gate has not passed."""
    listed = list(artifacts)
    subject = [_resource(one) for one in listed if one.path.startswith(f"{MODEL_FOLDER}/")]
    named = {outcome: [gate.name for gate in check.gates if gate.outcome is outcome] for outcome in Outcome}
    failed = (*named[Outcome.FAILED], *named[Outcome.INCONCLUSIVE])
    return _statement(subject, listed, passed=named[Outcome.PASSED], warned=named[Outcome.WARNING], failed=failed)


def _statement(
    subject: list[dict[str, Any]],
    artifacts: Iterable[Artifact],
    *,
    passed: Iterable[str],
    warned: Iterable[str],
    failed: Iterable[str],
) -> dict[str, Any]:
    passed, warned, failed = list(passed), list(warned), list(failed)
    return {
        "_type": _STATEMENT,
        "subject": subject,
        "predicateType": _TEST_RESULT,
        "predicate": {
            "result": "FAILED" if failed else "WARNED" if warned else "PASSED",
            "configuration": [_resource(one) for one in artifacts if one.path == _CONFIG],
            "passedTests": passed,
            "warnedTests": warned,
            "failedTests": failed,
        },
    }


def _resource(artifact: Artifact) -> dict[str, Any]:
    return {"name": artifact.path, "digest": {"sha256": artifact.sha256}}


def _ids(check: DataCheck, severity: Severity) -> list[str]:
    return list(dict.fromkeys(one.check for one in check.findings if one.severity is severity))
