"""raysweep: distributed hyperparameter search for tabular machine learning, on Ray, with an honest score.

    import raysweep

    result = raysweep.run_sweep(data=df, target="late", trials=50)
    model = raysweep.load_model(result.bundle_url)

The public names are loaded when they are first asked for, so that `import raysweep` is light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from raysweep.api import Analysis, RunView, SweepResult, Verification, analyze, load_model, run_sweep, show, verify
    from raysweep.config import SweepConfig
    from raysweep.errors import (
        BundleRefused,
        DataUnsuitable,
        Interrupted,
        NoTrialFinished,
        NotFound,
        RaysweepError,
        RayUnavailable,
        RequestInvalid,
        StorageFailed,
    )

__version__ = "0.1.0"

_HOME = {
    **dict.fromkeys(
        (
            "Analysis",
            "RunView",
            "SweepResult",
            "Verification",
            "analyze",
            "load_model",
            "run_sweep",
            "show",
            "verify",
        ),
        "raysweep.api",
    ),
    "SweepConfig": "raysweep.config",
    **dict.fromkeys(
        (
            "BundleRefused",
            "DataUnsuitable",
            "Interrupted",
            "NoTrialFinished",
            "NotFound",
            "RayUnavailable",
            "RaysweepError",
            "RequestInvalid",
            "StorageFailed",
        ),
        "raysweep.errors",
    ),
}

__all__ = [
    "Analysis",
    "BundleRefused",
    "DataUnsuitable",
    "Interrupted",
    "NoTrialFinished",
    "NotFound",
    "RayUnavailable",
    "RaysweepError",
    "RequestInvalid",
    "RunView",
    "StorageFailed",
    "SweepConfig",
    "SweepResult",
    "Verification",
    "__version__",
    "analyze",
    "load_model",
    "run_sweep",
    "show",
    "verify",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'raysweep' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
