"""Which types a skops file may hold. The list is reviewed here and named in the manifest; all else is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import skops.io

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


def load_trusted(path: Path) -> Any:
    """The object in a skops file.

    Raises:
        BundleRefused: the file holds other types, or is no skops file.
    """
    try:
        found = skops.io.get_untrusted_types(file=path)
        _refuse_others(found, path)
        return skops.io.load(path, trusted=found)
    except BundleRefused:
        raise
    except Exception as error:  # what a broken archive makes skops raise is of many types
        raise BundleRefused(f"{path.name} cannot be read: {type(error).__name__}: {error}") from error


def _refuse_others(found: list[str], path: Path) -> None:
    refused = sorted(set(found) - set(TRUSTED_TYPES))
    if refused:
        raise BundleRefused(
            f"{path.name} holds types that raysweep does not trust: {', '.join(refused[:10])}. "
            "Nothing of it was loaded; get the bundle from its source again",
            problems=refused,
        )
