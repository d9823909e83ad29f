"""Which types a skops file may hold. The list is reviewed here and named in the manifest; all else is refused."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from raysweep.documents import shorten
from raysweep.errors import BundleRefused

# Beyond what skops itself trusts (scikit-learn's public estimators, numpy's arrays). Every one holds plain data; a test
# says that all are needed.
TRUSTED_TYPES: Final = (
    "numpy.dtype",
    "raysweep.training.preprocess.Preprocessor",
    "scipy.sparse._csr.csr_matrix",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.metrics._dist_metrics.ManhattanDistance64",
    "sklearn.metrics._dist_metrics.MinkowskiDistance64",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.tree._tree.Tree",
)

_SCHEMA: Final = "schema.json"
_LARGEST_SCHEMA: Final = 256 * 1024 * 1024
_MOST_ENTRIES: Final = 200_000
_PLAIN_NAME: Final = re.compile(r"[\w.-]+")


def import_skops() -> None:
    """Load it, which takes as long as loading scikit-learn: no trial needs it."""
    import skops.io  # noqa: F401 - for later


def write_skops(value: Any, path: Path) -> None:
    """Write an object of types that `load_trusted` takes."""
    import skops.io

    skops.io.dump(value, path)


def load_trusted(path: Path, declared: Iterable[str] = ()) -> Any:
    """The object in a skops file.

    Args:
        path: of the file.
        declared: the types that a family of this process has declared beside raysweep's own list.

    Raises:
        BundleRefused: the file holds other types, or is no skops file.
    """
    import skops.io

    try:
        _check_archive(path)
        _refuse(undeclared_types(path, declared), path)
        return skops.io.load(path, trusted=[*TRUSTED_TYPES, *declared])
    except BundleRefused:
        raise
    except Exception as error:  # what a broken archive makes skops raise is of many types
        raise BundleRefused(f"{path.name} cannot be read: {type(error).__name__}: {error}") from error


def undeclared_types(path: Path, declared: Iterable[str] = ()) -> tuple[str, ...]:
    """The types in a skops file that `load_trusted` would refuse."""
    import skops.io

    return tuple(sorted(set(skops.io.get_untrusted_types(file=path)) - set(TRUSTED_TYPES) - set(declared)))


def _check_archive(path: Path) -> None:
    """Refuse an archive that would grow when read, or that names files outside of itself, before anything is read.

    skops files that raysweep writes are not compressed, so that their parts are never larger than the file.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    whole, sizes = path.stat().st_size, sum(entry.file_size for entry in entries)
    names = [entry.filename for entry in entries]
    if len(entries) > _MOST_ENTRIES:
        raise BundleRefused(f"{path.name} has {len(entries):,} parts; raysweep reads up to {_MOST_ENTRIES:,}")
    if sizes > whole:
        raise BundleRefused(f"{path.name} would grow from {whole:,} to {sizes:,} bytes when it is read: a zip bomb")
    if any(entry.file_size > _LARGEST_SCHEMA for entry in entries if entry.filename == _SCHEMA):
        raise BundleRefused(f"the {_SCHEMA} in {path.name} is larger than {_LARGEST_SCHEMA:,} bytes")
    strange = [name for name in names if not _PLAIN_NAME.fullmatch(name) or name in {".", ".."}]
    if strange or len(set(names)) < len(names):
        example = strange[0] if strange else max(names, key=names.count)
        raise BundleRefused(
            f"{path.name} holds a part called {shorten(example)!r}, or holds it twice: no skops file does"
        )


def _refuse(types: tuple[str, ...], path: Path) -> None:
    if types:
        raise BundleRefused(
            f"{path.name} holds types that raysweep does not trust: {', '.join(types[:10])}. "
            "Nothing of it was loaded; get the bundle from its source again",
            problems=types,
        )
