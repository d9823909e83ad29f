"""What a copy of a model says of itself, so that it can be loaded without its bundle: the MLflow folder holds one."""

from __future__ import annotations

from typing import Final, Literal

from raysweep.documents import Document
from raysweep.records.manifest import Artifact, ModelRecord, Signature

SERVED_FILE: Final = "raysweep.json"


class ServedModel(Document):
    """A model on its own.

    Attributes:
        bundle: the run that published it, and where it was told to.
        verdict: of the final check.
        metric: the sweep's.
        files: the model's files beside this document, each with its hash.
    """

    schema_version: Literal[1]
    raysweep: str
    run_id: str
    bundle: str
    verdict: str
    metric: str
    signature: Signature
    model: ModelRecord
    files: tuple[Artifact, ...]
