"""Which types a skops file may hold. The list is reviewed here and named in the manifest; all else is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import skops.io

from raysweep.errors import BundleRefused

# Beyond what skops itself trusts (scikit-learn's public estimators, numpy). Every one holds plain data.
TRUSTED_TYPES: Final = (
    "raysweep.training.preprocess.Preprocessor",
    "sklearn._loss.link.BaseLink",
    "sklearn._loss.link.HalfLogitLink",
    "sklearn._loss.link.IdentityLink",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.link.MultinomialLogit",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn._loss.loss.HalfMultinomialLoss",
    "sklearn._loss.loss.HalfSquaredError",
    "sklearn._loss._loss.CyHalfBinomialLoss",
    "sklearn._loss._loss.CyHalfMultinomialLoss",
    "sklearn._loss._loss.CyHalfSquaredError",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.metrics._dist_metrics.ManhattanDistance64",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neighbors._ball_tree.BallTree",
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
