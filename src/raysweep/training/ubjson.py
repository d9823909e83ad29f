"""Whether a file is whole UBJSON: XGBoost's own reader ends the process where it is torn or nested without end."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

from raysweep.errors import BundleRefused

_DEEPEST: Final = 64  # XGBoost's models go 8 deep
_SIZES: Final = {
    b"i": 1,
    b"U": 1,
    b"C": 1,
    b"I": 2,
    b"l": 4,
    b"d": 4,
    b"L": 8,
    b"D": 8,
    b"Z": 0,
    b"N": 0,
    b"T": 0,
    b"F": 0,
}
_COUNTS: Final = {b"i": ">b", b"U": ">B", b"I": ">h", b"l": ">i", b"L": ">q"}


def check_ubjson(path: Path) -> None:
    """Walk through a file without keeping any of it.

    Raises:
        BundleRefused: it is not one whole object.
    """
    walk = _Walk(path.read_bytes())
    try:
        walk.whole()
    except (ValueError, struct.error) as error:
        raise BundleRefused(f"{path.name} cannot be read: {error} at byte {walk.at:,}: it is no model") from error


class _Walk:
    """A place in the bytes of a file.

    Attributes:
        at: the next byte.
    """

    def __init__(self, content: bytes) -> None:
        self.at = 0
        self._content = content

    def whole(self) -> None:
        """One object, from the first byte to the last."""
        if self._take(1) != b"{":
            raise ValueError("it does not begin with an object")
        open_ones: list[bytes | int] = [b"}"]  # what ends each, or how many values are left where they are counted
        while open_ones:
            if len(open_ones) > _DEEPEST:
                raise ValueError(f"it is nested more than {_DEEPEST} deep")
            innermost = open_ones[-1]
            if isinstance(innermost, int):
                if not innermost:
                    open_ones.pop()
                    continue
                open_ones[-1] = innermost - 1
            mark = self._take(1)
            if mark == innermost:
                open_ones.pop()
                continue
            if innermost == b"}":  # a key, of which the mark says how its length is written
                self._skip(self._count(mark))
                mark = self._take(1)
            self._value(mark, open_ones)
        if self.at != len(self._content):
            raise ValueError("it goes on after its end")

    def _value(self, mark: bytes, open_ones: list[bytes | int]) -> None:
        if mark == b"{":
            open_ones.append(b"}")
        elif mark == b"S":
            self._skip(self._count(self._take(1)))
        elif mark == b"[" and self._content[self.at : self.at + 1] == b"$":
            kind, sign = self._content[self.at + 1 : self.at + 2], self._content[self.at + 2 : self.at + 3]
            self.at += 3
            if kind not in _SIZES or sign != b"#":
                raise ValueError("an array of no known type")
            self._skip(_SIZES[kind] * self._count(self._take(1)))
        elif mark == b"[" and self._content[self.at : self.at + 1] == b"#":
            self.at += 1
            open_ones.append(self._count(self._take(1)))
        elif mark == b"[":
            open_ones.append(b"]")
        elif mark in _SIZES:
            self._skip(_SIZES[mark])
        else:
            raise ValueError(f"an unknown mark {mark!r}")

    def _count(self, mark: bytes) -> int:
        if mark not in _COUNTS:
            raise ValueError(f"a length that is written as {mark!r}")
        found = int(struct.unpack(_COUNTS[mark], self._take(_SIZES[mark]))[0])
        if found < 0:
            raise ValueError("a negative length")
        return found

    def _take(self, size: int) -> bytes:
        start = self.at
        self._skip(size)
        return self._content[start : self.at]

    def _skip(self, size: int) -> None:
        if self.at + size > len(self._content):
            raise ValueError("it ends too early")
        self.at += size
