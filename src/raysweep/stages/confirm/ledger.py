"""The ledger of openings: which sweeps have looked at which validation rows, one object an opening.

It lies beside the exported sweeps. A sweep that looks at rows which others have looked at before has had its choices
informed by them, however honestly: its intervals are widened, and after five uses the rows prove nothing any more.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from raysweep.config import SweepConfig
from raysweep.documents import digest, readable_json
from raysweep.errors import NotFound
from raysweep.records.model_facts import Opened
from raysweep.rows.hashing import Hashes
from raysweep.storage.store import LEDGER_FOLDER, Store

ERROR_RATE: Final = 0.05
_ASKED: Final = ("data", "checks", "split", "search", "confirm")
# Keys that came later count where they say something, so that a sweep is the same to a ledger that is older than they.
_ADDED: Final = {"rows": "auto"}
_ADDED_TO_TRIALS: Final = {"workers": 1, "device": "auto"}
_STORED: Final = "<u8"


@dataclass(frozen=True, slots=True)
class Opening:
    """An opening of sealed rows.

    Attributes:
        opened: when, as ISO text in UTC.
        digest: of the validation rows' keys.
        rows: how many they are.
        sketch: the 1,024 smallest hashes of these rows (all of them where they are fewer), ascending.
        sweep: digest of what was asked, as `sweep_digest` makes it.
        finalists: the digests of the candidates that were to be scored, best first.
        goes_on: the run started from what a published one had tried, whose score was seen.
    """

    run_id: str
    opened: str
    digest: str
    rows: int
    sketch: Hashes = field(repr=False, compare=False)
    sweep: str
    finalists: tuple[str, ...]
    goes_on: bool = False

    def is_by_the_same(self, other: Opening) -> bool:
        """Whether the same sweep has looked at these rows with nothing learned in between.

        That is so where the same was asked. A run that goes on from a published one knows its score: it looks again
        where it has found other finalists, though nothing else was asked.
        """
        if self.sweep != other.sweep or overlap(self, other) == 0:
            return False
        return self.finalists == other.finalists or not (self.goes_on or other.goes_on)

    @property
    def key(self) -> str:
        """Of its object: the same look of the same run has one, also where it was interrupted and began again."""
        return f"{LEDGER_FOLDER}{self.run_id}.{digest([self.sweep, self.finalists])[:12]}.json"


def sweep_digest(config: SweepConfig) -> str:
    """What identifies a sweep's choices: all that it asks for but its name, its place and its machines."""
    asked = config.model_dump(mode="json", by_alias=True)
    search = asked["search"]
    for section, added in ((search, _ADDED), (search["trial"], _ADDED_TO_TRIALS)):
        for name, default in added.items():
            if section[name] == default:
                del section[name]
    return digest({section: asked[section] for section in _ASKED})


def record_opening(store: Store, opening: Opening) -> tuple[Opened, tuple[str, ...]]:
    """Write an opening down, before the rows are looked at, and say which use of them it is.

    Uses are counted by overlap: an earlier opening of all these rows counts 1, one of half of them 0.5. Openings by the
    same sweep count once, and one that this very sweep has made before is no new use.

    Args:
        store: of the folder that the sweep is exported to.
        opening: what is about to happen.

    Returns:
        What the final check says of it; and a sentence for each object of the ledger that cannot be read. Such a one
        counts as a use of these rows.

    Raises:
        StorageFailed: the ledger cannot be read or written. Nothing was opened.
    """
    is_new = store.put_if_absent(opening.key, readable_json(_document(opening)))
    known, broken = _read(store)  # after it was written: of two sweeps at once each sees the other
    known.sort(key=lambda one: (one.opened, one.run_id))
    others = [one for one in known if one.key != opening.key]
    before = [one for one in (others if is_new else known) if one.is_by_the_same(opening)]
    sweeps: list[_Sweep] = []
    for one in others:
        is_later = bool(before) and one.opened > before[0].opened  # than this sweep's first look
        if not is_later and not one.is_by_the_same(opening):
            sweeps = _noted(sweeps, one, overlap(opening, one))
    use = 1 + int(sum(sweep.share for sweep in sweeps) + len(broken) + 0.5)
    opened = Opened(
        digest=opening.digest,
        use=use,
        earlier=tuple(sweep.first.run_id for sweep in sweeps),
        ledger=store.address(opening.key),
        level=1 - ERROR_RATE / use,
        is_repeat=bool(before),
    )
    return opened, broken


@dataclass(frozen=True, slots=True)
class _Sweep:
    """One that has looked before: its first look, and the largest share of the rows that it has seen in any."""

    first: Opening
    share: float


def _noted(sweeps: Sequence[_Sweep], one: Opening, share: float) -> list[_Sweep]:
    """The same with another look, which counts where it saw more than the sweep's others."""
    if share == 0:
        return list(sweeps)
    if not any(sweep.first.is_by_the_same(one) for sweep in sweeps):
        return [*sweeps, _Sweep(one, share)]
    return [
        _Sweep(sweep.first, max(sweep.share, share)) if sweep.first.is_by_the_same(one) else sweep for sweep in sweeps
    ]


def overlap(one: Opening, other: Opening) -> float:
    """The share of the rows of `one` that are among those of `other`, by their sketches.

    Sketches hold the smallest hashes, so that below the smaller of their ends both know every row (Cohen & Kaplan
    2007).
    """
    ends = [sketch.sketch[-1] for sketch in (one, other) if len(sketch.sketch) and sketch.rows > len(sketch.sketch)]
    mine, theirs = (np.unique(sketch.sketch) for sketch in (one, other))
    if ends:
        mine, theirs = (hashes[hashes <= min(ends)] for hashes in (mine, theirs))
    return float(np.isin(mine, theirs).mean()) if len(mine) else 0.0


def _document(opening: Opening) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "run_id": opening.run_id,
        "opened": opening.opened,
        "digest": opening.digest,
        "rows": opening.rows,
        "sketch": base64.b64encode(np.asarray(opening.sketch, dtype=_STORED).tobytes()).decode("ascii"),
        "sweep": opening.sweep,
        "finalists": list(opening.finalists),
        "goes_on": opening.goes_on,
    }


def _read(store: Store) -> tuple[list[Opening], tuple[str, ...]]:
    known: list[Opening] = []
    broken: list[str] = []
    for key in _keys(store):
        try:
            known.append(_parse(store.get(key)))
        except NotFound:  # deleted since it was listed
            continue
        except (ValueError, KeyError, TypeError) as error:
            broken.append(
                f"{store.address(key)} of the ledger cannot be read ({type(error).__name__}: {error}): it counts as a "
                "use of these validation rows. Restore it, or move it away if it is none of raysweep's"
            )
    return known, tuple(broken)


def _keys(store: Store) -> Iterable[str]:
    return (one.key for one in store.list(LEDGER_FOLDER) if one.key.endswith(".json"))


def _parse(content: bytes) -> Opening:
    document = json.loads(content)
    if document["schema_version"] != 1:
        raise ValueError(f"its schema_version is {document['schema_version']}, this raysweep knows 1")
    finalists: Sequence[str] = document["finalists"]
    sketch = np.frombuffer(base64.b64decode(document["sketch"], validate=True), dtype=_STORED).astype(np.uint64)
    return Opening(
        run_id=str(document["run_id"]),
        opened=str(document["opened"]),
        digest=str(document["digest"]),
        rows=int(document["rows"]),
        sketch=np.sort(sketch),
        sweep=str(document["sweep"]),
        finalists=tuple(map(str, finalists)),
        goes_on=bool(document["goes_on"]),
    )
