"""64-bit hashes of rows that depend on the values alone: not on blocks, order, file format or column order.

A value is hashed by its canonical form: a number by its float64 bits where it is exactly a float64 (so that 1 and 1.0
are the same), else by its int64 bits; a boolean as 0 or 1; text by its UTF-8 bytes, an instant by its microseconds.
Each is mixed with the name of its column, and the columns of a row are added up, so that their order does not matter.
Mixing is splitmix64's finalizer (Steele, Lea & Flood 2014); text goes through pandas' SipHash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

Hashes = npt.NDArray[np.uint64]

_MIXING: Final = (
    (np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)),
    (np.uint64(27), np.uint64(0x94D049BB133111EB)),
)
_NULL: Final = np.uint64(0x6E756C6C6E756C6C)
_LOOKED_AT_FIRST: Final = 20_000
_TEXT_KEY: Final = "raysweep-row-key"  # 16 characters, as SipHash wants


def mix(values: Hashes) -> Hashes:
    """splitmix64's finalizer on every element: a bijection that spreads each bit over all."""
    mixed = np.asarray(values + np.uint64(0x9E3779B97F4A7C15), dtype=np.uint64)
    shifted = np.empty_like(mixed)
    for bits, factor in _MIXING:
        np.right_shift(mixed, bits, out=shifted)
        np.bitwise_xor(mixed, shifted, out=mixed)
        np.multiply(mixed, factor, out=mixed)
    return mixed ^ (mixed >> np.uint64(31))


def hash_rows(table: pa.Table, columns: Sequence[str]) -> Hashes:
    """One hash a row over the named columns.

    Args:
        table: in canonical types (`raysweep.rows.canonical`).
        columns: the names to hash; their order does not matter.

    Returns:
        uint64 array of shape (rows,).
    """
    return hash_rows_over(table, [columns])[0]


def hash_rows_over(table: pa.Table, groups: Sequence[Sequence[str]]) -> list[Hashes]:
    """One hash a row over each group of columns, as `hash_rows` makes it; each column is hashed once."""
    hasher = RowHasher(table.num_rows, groups)
    for name in frozenset().union(*groups):
        hasher.add(name, hash_values(table.column(name)))
    return hasher.finish()


class RowHasher:
    """Hashes of rows over several groups of columns, column by column; equal groups share their array."""

    def __init__(self, rows: int, groups: Sequence[Sequence[str]]) -> None:
        self._groups = [frozenset(group) for group in groups]
        self._totals = {group: np.zeros(rows, dtype=np.uint64) for group in self._groups}

    def add(self, name: str, values: Hashes) -> None:
        """Take in a column by the hashes of its values."""
        hashed = mix(values ^ _name_hash(name))
        for group, total in self._totals.items():
            if name in group:
                np.add(total, hashed, out=total)

    def finish(self) -> list[Hashes]:
        """One hash a row for each group, once all columns were added."""
        hashes = {group: mix(total) for group, total in self._totals.items()}
        return [hashes[group] for group in self._groups]


def hash_values(values: pa.ChunkedArray) -> Hashes:
    """One hash a value; equal values have equal hashes, also as int64 and float64, and encoded by a dictionary."""
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if isinstance(array, pa.ChunkedArray):  # combine_chunks keeps chunks that are too large to join
        return np.concatenate([hash_values(chunk) for chunk in array.chunks])
    if pa.types.is_dictionary(array.type):
        return _hash_encoded(array)
    if pa.types.is_large_string(array.type):
        return _hash_text(array)
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.int64())
    elif pa.types.is_timestamp(array.type):
        array = array.view(pa.int64())
    missing = np.asarray(array.is_null())
    if pa.types.is_floating(array.type):
        hashes = _hash_floats(pc.fill_null(array, 0.0).to_numpy(zero_copy_only=False))
    else:
        hashes = _hash_integers(pc.fill_null(array, 0).to_numpy(zero_copy_only=False))
    hashes[missing] = _NULL
    return hashes


def uniform(hashes: Hashes, seed: int) -> npt.NDArray[np.float64]:
    """A number in [0, 1) for each hash, another one for another seed."""
    mixed = mix(hashes ^ mix(np.asarray([seed], dtype=np.uint64)))
    return np.asarray((mixed >> np.uint64(11)) * 2.0**-53, dtype=np.float64)


def digest_of(hashes: Hashes) -> str:
    """sha256 (hex) over the sorted hashes: the identity of a set of rows, whatever their order."""
    return digest_in_order(np.sort(hashes))


def digest_in_order(hashes: Hashes) -> str:
    """sha256 (hex) over the hashes as they stand: the identity of a column of values."""
    return hashlib.sha256(np.ascontiguousarray(hashes, dtype="<u8").data).hexdigest()


def _name_hash(name: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.blake2b(name.encode("utf-8"), digest_size=8).digest(), "little"))


def _hash_floats(values: npt.NDArray[np.float64]) -> Hashes:
    plain = values + 0.0  # turns -0.0 into 0.0
    return mix(plain.view(np.uint64))


def _hash_integers(values: npt.NDArray[np.int64]) -> Hashes:
    floats = values.astype(np.float64)
    # Integers beyond 2**53 that have no exact float64 keep their own bits, flagged apart from the floats.
    exact = _is_exact(values, floats)
    bits = np.where(exact, (floats + 0.0).view(np.uint64), values.view(np.uint64) ^ _NULL)
    return mix(bits)


def _is_exact(values: npt.NDArray[np.int64], floats: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    inside = floats < 2.0**63  # -2**63 itself is an int64, 2**63 is not
    back = np.where(inside, floats, 0.0).astype(np.int64)
    return np.asarray(inside & (back == values), dtype=np.bool_)


def _hash_text(array: pa.Array) -> Hashes:
    start = array.slice(0, _LOOKED_AT_FIRST)
    if pc.count_distinct(start).as_py() * 2 < len(start):
        return _hash_encoded(array.dictionary_encode())
    texts = array.to_numpy(zero_copy_only=False).astype(object)
    texts[np.asarray(array.is_null())] = ""
    hashes = pd.util.hash_array(texts, hash_key=_TEXT_KEY, categorize=False).astype(np.uint64)
    hashes[np.asarray(array.is_null())] = _NULL
    return np.asarray(hashes)


def _hash_encoded(array: pa.Array) -> Hashes:
    with_null = np.append(hash_values(array.dictionary), _NULL)
    codes = pc.fill_null(array.indices, len(with_null) - 1).to_numpy(zero_copy_only=False)
    return np.asarray(with_null[codes], dtype=np.uint64)
