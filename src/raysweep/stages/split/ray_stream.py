"""Cutting a table that is larger than memory: a sample for the search, all rows for the fit that ships, in blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import ray

from raysweep.errors import DataUnsuitable
from raysweep.records.table import Label, Part, RowSample
from raysweep.rows.hashing import Hashes
from raysweep.stages.split.bucketed import BucketedRows
from raysweep.stages.split.dealing import AnyAssignment, Cut, Dealt, Wanted
from raysweep.stages.split.row_budget import size_of
from raysweep.stages.split.sampling import PartSample, sample_part, share_out
from raysweep.training.block_fit import FitBlock
from raysweep.training.canaries import SKETCH_ROWS, smallest
from raysweep.training.sealed_rows import Seal, SealedRows, SealWriter

_SEARCHED: Final = (Part.TRAINING, Part.TESTING)
_BESIDE_BYTES: Final = 48
_RAISED: Final = 2.0  # times the share of all rows


@dataclass(frozen=True, slots=True)
class Streamed:
    """What comes of a table that is cut in a stream.

    Attributes:
        sampled: rows of every part, those of validation for the checks between the parts alone.
        canaries: hashes of validation rows that no row of the search has.
        sketch: the smallest hashes of whole validation rows.
    """

    sampled: Mapping[Part, Cut]
    sample: RowSample
    seal: Seal
    canaries: Hashes
    sketch: Hashes


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """What is to be cut.

    Attributes:
        bare: the rows of all parts without their columns.
        wanted: about how many training and testing rows the search gets.
        digest: of the validation rows' keys.
    """

    of: Wanted
    bare: Dealt
    wanted: int
    work_folder: Path
    digest: str


def cut_in_stream(request: StreamRequest, assignment: AnyAssignment) -> Streamed:
    """Read the table once: seal the validation rows, put the others into the object store, draw the sample.

    Raises:
        StorageFailed: the rows cannot be put into order on this machine's disk.
    """
    wanted, parts = request.of, request.bare.parts
    samples = _samples(request)
    row_bytes = size_of(1, 1.0, wanted.task.inputs).row_bytes + _BESIDE_BYTES
    every = sum(cut.block.rows for cut in parts.values())
    with BucketedRows(request.work_folder, wanted, row_bytes, every) as buckets:
        buckets.fill(assignment)
        hidden = _seal(buckets, samples[Part.VALIDATION], request)
        sampled, blocks = {Part.VALIDATION: hidden.sampled}, dict[Part, tuple[Any, ...]]()
        known = np.zeros(0, np.uint64)
        for part in _SEARCHED:
            references, kept, rows = list[Any](), list[Cut](), 0
            for cut in buckets.cuts(part):
                taken, rows = samples[part].contains(cut.keys), rows + cut.block.rows
                references.append(ray.put(FitBlock(cut.block, taken)))
                kept.append(_taken(cut, taken))
                known = np.union1d(known, np.intersect1d(hidden.marks, cut.marks))
            sampled[part], blocks[part] = _joined(kept), tuple(references)
            _check_whole(part, rows, parts[part].block.rows)
    canaries = smallest(np.setdiff1d(hidden.marks, known))
    sample = RowSample(
        wanted=request.wanted,
        rows={part: sampled[part].block.rows for part in _SEARCHED},
        of={part: parts[part].block.rows for part in _SEARCHED},
        raised=_raised(request, sampled),
        blocks=blocks,
    )
    return Streamed(
        {part: _weighted(cut, samples[part]) for part, cut in sampled.items()},
        sample,
        hidden.seal,
        canaries,
        hidden.sketch,
    )


def _samples(request: StreamRequest) -> Mapping[Part, PartSample]:
    parts, rule = request.bare.parts, request.of.rule
    training, testing = share_out(request.wanted, *(parts[part].block.rows for part in _SEARCHED))
    wanted = {Part.TRAINING: training, Part.TESTING: testing, Part.VALIDATION: testing}
    has_classes = request.of.task.kind.is_classification
    return {
        part: sample_part(cut.keys, cut.block.y if has_classes else None, wanted[part], rule.seed)
        for part, cut in parts.items()
    }


@dataclass(frozen=True, slots=True)
class _Hidden:
    """Of the validation rows: their seal, the sample for the checks, hashes by which they are known."""

    seal: Seal
    sampled: Cut
    marks: Hashes
    sketch: Hashes


def _seal(buckets: BucketedRows, sample: PartSample, request: StreamRequest) -> _Hidden:
    writer, kept = SealWriter(request.work_folder), list[Cut]()
    marks = sketch = np.zeros(0, np.uint64)
    for cut in buckets.cuts(Part.VALIDATION):
        writer.add(SealedRows(cut.block, cut.further))
        kept.append(_taken(cut, sample.contains(cut.keys)))
        # More than are needed: those that a row of the search has as well are taken out again.
        marks = smallest(np.concatenate([marks, cut.marks]), 4 * SKETCH_ROWS)
        sketch = smallest(np.concatenate([sketch, cut.rows]))
    seal = writer.close(request.digest)
    _check_whole(Part.VALIDATION, seal.rows, request.bare.parts[Part.VALIDATION].block.rows)
    return _Hidden(seal, _joined(kept), marks, sketch)


def _check_whole(part: Part, rows: int, counted: int) -> None:
    """Both passes over the table have to see the same rows.

    Raises:
        DataUnsuitable: they have not.
    """
    if rows != counted:
        raise DataUnsuitable(
            f"the {part.value} part had {counted:,} rows when they were counted, and {rows:,} when they were read "
            "again: does something write to the source? Start again once nothing does"
        )


def _taken(cut: Cut, taken: Any) -> Cut:
    places = np.flatnonzero(taken)
    times = None if cut.times is None else cut.times[places]
    further = cut.further.take(pa.array(places)) if cut.further.num_columns else cut.further
    return Cut(cut.keys[places], cut.rows[places], cut.marks[places], cut.block.take(places), further, times)


def _joined(cuts: list[Cut]) -> Cut:
    first, *others = cuts
    times = [cut.times for cut in cuts if cut.times is not None]
    return Cut(
        keys=np.concatenate([cut.keys for cut in cuts]),
        rows=np.concatenate([cut.rows for cut in cuts]),
        marks=np.concatenate([cut.marks for cut in cuts]),
        block=first.block.joined(*(cut.block for cut in others)),
        further=pa.concat_tables([cut.further for cut in cuts]),
        times=np.concatenate(times) if times else None,
    )


def _weighted(cut: Cut, sample: PartSample) -> Cut:
    """The rows of keys that were more likely to be taken count less."""
    factors = sample.weights(cut.keys)
    if factors is None:
        return cut
    weight = factors if cut.block.weight is None else cut.block.weight * factors
    return replace(cut, block=replace(cut.block, weight=weight))


def _raised(request: StreamRequest, sampled: Mapping[Part, Cut]) -> tuple[tuple[Label, int, int], ...]:
    """Classes of which more rows are in the sample than their share."""
    task, of_parts = request.of.task, (sampled, request.bare.parts)
    if not task.kind.is_classification:
        return ()
    ours, every = (
        np.sum([np.bincount(cuts[one].block.y.astype(int), minlength=len(task.classes)) for one in _SEARCHED], axis=0)
        for cuts in of_parts
    )
    usual = ours.sum() / every.sum()
    rare = [code for code in range(len(task.classes)) if ours[code] > _RAISED * usual * every[code]]
    return tuple((task.classes[code], int(ours[code]), int(every[code])) for code in rare)
