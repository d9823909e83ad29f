"""Which types a skops file may hold. The list is reviewed here and named in the manifest; all else is refused."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

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


def write_skops(value: Any, path: Path) -> None:
    """Write an object of types that `load_trusted` takes."""
    import skops.io  # takes as long to load as scikit-learn, and no trial needs it

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


def _refuse(types: tuple[str, ...], path: Path) -> None:
    if types:
        raise BundleRefused(
            f"{path.name} holds types that raysweep does not trust: {', '.join(types[:10])}. "
            "Nothing of it was loaded; get the bundle from its source again",
            problems=types,
        )
