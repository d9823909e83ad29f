"""An alias: which bundle is the candidate or in production, and every move that led there. Version 1."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from raysweep.documents import Document, readable_json

AliasName = Literal["candidate", "production"]
ALIAS_NAMES: Final = ("candidate", "production")
ALIAS_FOLDER: Final = ".raysweep/aliases/"
MAX_MOVES: Final = 500


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

    run_id: str
    manifest_sha256: str
    verdict: str
    at: str
    by: str
    forced: bool = False
    reason: str | None = None


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
