"""An alias: which bundle is the candidate or in production, and every move that led there. Version 1."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, ValidationError, field_validator

from raysweep.documents import Document, problems_in, readable_json

AliasName = Literal["candidate", "production"]
ALIAS_NAMES: Final = ("candidate", "production")
ALIAS_FOLDER: Final = ".raysweep/aliases/"
MAX_MOVES: Final = 500
MAX_REASON: Final = 1_000


class Move(Document):
    """One time that an alias was moved.

    Attributes:
        run_id: of the bundle, whose folder stands beside `.raysweep/`.
        manifest_sha256: of its manifest.json, so that no other bundle can take its place.
        verdict: of its final check.
        at: date and time in UTC.
        by: user and host.
        forced: whether the verdict did not allow it.
        reason: why, in the words of whoever moved it.
    """

    run_id: Annotated[str, Field(pattern=r"^[^/\\\x00-\x1f\x7f]{1,255}$")]
    manifest_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    verdict: Annotated[str, Field(max_length=100)]
    at: Annotated[str, Field(max_length=100)]
    by: Annotated[str, Field(max_length=500)]
    forced: bool = False
    reason: Annotated[str, Field(max_length=MAX_REASON)] | None = None

    @field_validator("run_id")
    @classmethod
    def _names_a_folder(cls, run_id: str) -> str:
        if run_id in {".", ".."}:
            raise ValueError(f"{run_id!r} is no name of a run")
        return run_id


class Alias(Document):
    """What stands in `.raysweep/aliases/<alias>.json`: every move, the newest last; older ones than 500 are dropped."""

    schema_version: Literal[1] = 1
    alias: AliasName
    moves: Annotated[tuple[Move, ...], Field(min_length=1, max_length=MAX_MOVES)]

    @property
    def now(self) -> Move:
        """Where it is."""
        return self.moves[-1]

    def to_bytes(self) -> bytes:
        """As it is written."""
        return readable_json(self.model_dump(mode="json"))


def alias_key(alias: str) -> str:
    """Where an alias is kept beside the bundles."""
    return f"{ALIAS_FOLDER}{alias}.json"


def read_alias_bytes(content: bytes, alias: AliasName) -> Alias:
    """The document of an alias.

    Raises:
        ValueError: it is none, or that of another alias.
    """
    try:
        found = Alias.model_validate_json(content, strict=True)
    except ValidationError as error:
        raise ValueError(problems_in(error, Alias)[0]) from error
    if found.alias != alias:
        raise ValueError(f"it is the document of {found.alias}")
    return found
