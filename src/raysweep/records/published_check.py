"""The final check as final_check.json holds it, written and read back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from raysweep.documents import plain_record, read_record
from raysweep.records.final_check import FinalCheck
from raysweep.records.table import Part

SCHEMA_VERSION: Final = 2


def final_check_document(check: FinalCheck) -> dict[str, Any]:
    """final_check.json: every field of the record, and the part that all its final scores were measured on."""
    return {"schema_version": SCHEMA_VERSION, "part": Part.VALIDATION.value, **plain_record(check)}


def read_final_check_document(document: Mapping[str, Any]) -> FinalCheck:
    """The record of a final_check.json of any version: version 1 says less, a newer one may say more.

    Raises:
        TypeError, ValueError: it is not as raysweep writes it; names the place.
    """
    return read_record(FinalCheck, document)
