"""Published documents back into their records, so that `show` prints what `run` printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raysweep.errors import BundleRefused
from raysweep.records.final_check import Comparison, FinalCheck, Gap, Gate, Outcome, Verdict
from raysweep.records.model_facts import Estimate
from raysweep.records.table import Finding, Proposal, Severity

UNREADABLE = (KeyError, TypeError, ValueError, AttributeError)


def read_final_check(document: Mapping[str, Any]) -> FinalCheck:
    """The final check that `final_check.json` was written from.

    Raises:
        BundleRefused: it does not have the keys of one.
    """
    try:
        return FinalCheck(
            metric=document["metric"],
            rows=document["rows"],
            fitted_on=document["fitted_on"],
            score=_estimate(document["score"]),
            metrics={name: _estimate(one) for name, one in document["metrics"].items()},
            comparisons=tuple(
                Comparison(one["against"], one["other_score"], _estimate(one["gain"]))
                for one in document["comparisons"]
            ),
            gap=_gap(document["gap"]),
            gates=tuple(Gate(one["name"], Outcome(one["outcome"]), one["reason"]) for one in document["gates"]),
            verdict=Verdict(document["verdict"]),
            resamples=document["resamples"],
        )
    except UNREADABLE as error:
        raise _refused("final_check.json", error) from error


def read_findings(documents: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """The findings that `data/findings.json` was written from.

    Raises:
        BundleRefused: one does not have the keys of a finding.
    """
    try:
        return [
            Finding(
                check=one["check"],
                severity=Severity(one["severity"]),
                message=one["message"],
                advice=one["advice"],
                column=one["column"],
                count=one.get("count"),
                share=one.get("share"),
                examples=tuple(one.get("examples", ())),
                places=tuple(one.get("places", ())),
                waived=one.get("waived"),
            )
            for one in documents
        ]
    except UNREADABLE as error:
        raise _refused("data/findings.json", error) from error


def read_proposals(documents: Sequence[Mapping[str, str]]) -> list[Proposal]:
    """The lines that `data/findings.json` proposes for the sweep file.

    Raises:
        BundleRefused: one does not have the keys of a proposal.
    """
    try:
        return [Proposal(one["line"], one["why"]) for one in documents]
    except UNREADABLE as error:
        raise _refused("data/findings.json", error) from error


def _refused(path: str, error: Exception) -> BundleRefused:
    return BundleRefused(
        f"{path} is not as raysweep writes it ({type(error).__name__}: {error}); "
        "see with `raysweep verify` whether it was changed"
    )


def _estimate(document: Mapping[str, float]) -> Estimate:
    return Estimate(document["value"], document["low"], document["high"], document["standard_error"])


def _gap(document: Mapping[str, float] | None) -> Gap | None:
    if document is None:
        return None
    return Gap(document["testing"], document["validation"], document["drop"], document["standard_error"])
