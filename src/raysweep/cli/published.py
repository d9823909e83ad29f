"""Published documents back into their records, so that `show` prints what `run` printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raysweep.documents import read_record
from raysweep.errors import BundleRefused
from raysweep.records.final_check import FinalCheck
from raysweep.records.published_check import read_final_check_document
from raysweep.records.table import Finding, Proposal


def read_final_check(document: Mapping[str, Any]) -> FinalCheck:
    """The final check that `final_check.json` was written from.

    Raises:
        BundleRefused: it does not have the keys of one.
    """
    try:
        return read_final_check_document(document)
    except (TypeError, ValueError, OverflowError, KeyError, AttributeError) as error:
        raise _refused("final_check.json", error) from error


def read_findings(documents: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """The findings that `data/findings.json` was written from.

    Raises:
        BundleRefused: one does not have the keys of a finding.
    """
    try:
        return [read_record(Finding, one) for one in documents]
    except (TypeError, ValueError, OverflowError, KeyError, AttributeError) as error:
        raise _refused("data/findings.json", error) from error


def read_proposals(documents: Sequence[Mapping[str, str]]) -> list[Proposal]:
    """The lines that `data/findings.json` proposes for the sweep file.

    Raises:
        BundleRefused: one does not have the keys of a proposal.
    """
    try:
        return [read_record(Proposal, one) for one in documents]
    except (TypeError, ValueError, OverflowError, KeyError, AttributeError) as error:
        raise _refused("data/findings.json", error) from error


def _refused(path: str, error: Exception) -> BundleRefused:
    return BundleRefused(
        f"{path} is not as raysweep writes it ({error}); see with `raysweep verify` whether it was changed"
    )
