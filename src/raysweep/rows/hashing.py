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

_NULL: Final = np.uint64(0x6E756C6C6E756C6C)
_TEXT_KEY: Final = "raysweep-row-key"  # 16 characters, as SipHash wants


def mix(values: Hashes) -> Hashes:
    """splitmix64's finalizer on every element: a bijection that spreads each bit over all."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)), dtype=np.uint64)


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
    members = [frozenset(group) for group in groups]
    totals = {group: np.zeros(table.num_rows, dtype=np.uint64) for group in members}
    for name in frozenset().union(*members):
        hashed = mix(hash_values(table.column(name)) ^ _name_hash(name))
        for group, total in totals.items():
            if name in group:
                np.add(total, hashed, out=total)
    hashes = {group: mix(total) for group, total in totals.items()}
    return [hashes[group] for group in members]


def hash_values(values: pa.ChunkedArray) -> Hashes:
    """One hash a value; equal values have equal hashes, also as int64 and float64."""
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if isinstance(array, pa.ChunkedArray):  # combine_chunks keeps chunks that are too large to join
        return np.concatenate([hash_values(chunk) for chunk in array.chunks])
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
    return hashlib.sha256(np.sort(hashes).astype("<u8").tobytes()).hexdigest()


def digest_in_order(hashes: Hashes) -> str:
    """sha256 (hex) over the hashes as they stand: the identity of a column of values."""
    return hashlib.sha256(hashes.astype("<u8").tobytes()).hexdigest()


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
    encoded = array.dictionary_encode()
    texts = encoded.dictionary.to_numpy(zero_copy_only=False).astype(object)
    of_text = pd.util.hash_array(texts, hash_key=_TEXT_KEY, categorize=False) if len(texts) else np.zeros(0, np.uint64)
    with_null = np.append(of_text.astype(np.uint64), _NULL)
    codes = pc.fill_null(encoded.indices, len(of_text)).to_numpy(zero_copy_only=False)
    return np.asarray(with_null[codes], dtype=np.uint64)
