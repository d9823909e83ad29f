"""SHA256SUMS, as `sha256sum -c` reads it: a line for each file, its hash and its path."""

from __future__ import annotations

from collections.abc import Iterable


def format_sums(pairs: Iterable[tuple[str, str]]) -> bytes:
    """The file of these paths and hashes."""
    return "".join(f"{digest}  {path}\n" for path, digest in pairs).encode()


def parse_sums(content: bytes) -> list[tuple[str, str]]:
    """The paths and hashes of a file, in its order.

    Raises:
        ValueError: it is no text.
    """
    lines = (line.partition("  ") for line in content.decode("utf-8").splitlines())
    return [(path, digest) for digest, _, path in lines]
