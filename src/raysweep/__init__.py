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
    from raysweep.api import (
        analyze,
        attach,
        doctor,
        load_model,
        predict,
        promote,
        reproduce,
        resume,
        run_sweep,
        show,
        submit,
        verify,
    )
    from raysweep.bundle.aliases import Promotion
    from raysweep.bundle.deviations import Deviations, InputDeviation
    from raysweep.bundle.load import Model
    from raysweep.bundle.verify import Verification
    from raysweep.bundle.view import RunView
    from raysweep.config import SweepConfig
    from raysweep.errors import (
        AliasMoved,
        BundleRefused,
        DataUnsuitable,
        Interrupted,
        NotFound,
        NoTrialFinished,
        RaysweepError,
        RayUnavailable,
        RequestInvalid,
        RunTakenOver,
        StorageFailed,
    )
    from raysweep.job.submitted import RunStatus, SubmittedRun
    from raysweep.reproduction.outcome import Reproduction
    from raysweep.results import Analysis, SweepResult
    from raysweep.scoring.predictions import Predictions
    from raysweep.training.family import Family
    from raysweep.training.own_family import make_family, register_family

__version__ = "0.1.0"

_HOME = {
    "raysweep.api": (
        "analyze",
        "attach",
        "doctor",
        "load_model",
        "predict",
        "promote",
        "reproduce",
        "resume",
        "run_sweep",
        "show",
        "submit",
        "verify",
    ),
    "raysweep.bundle.aliases": ("Promotion",),
    "raysweep.bundle.deviations": ("Deviations", "InputDeviation"),
    "raysweep.bundle.load": ("Model",),
    "raysweep.bundle.verify": ("Verification",),
    "raysweep.bundle.view": ("RunView",),
    "raysweep.config": ("SweepConfig",),
    "raysweep.errors": (
        "AliasMoved",
        "BundleRefused",
        "DataUnsuitable",
        "Interrupted",
        "NoTrialFinished",
        "NotFound",
        "RayUnavailable",
        "RaysweepError",
        "RequestInvalid",
        "RunTakenOver",
        "StorageFailed",
    ),
    "raysweep.job.submitted": ("RunStatus", "SubmittedRun"),
    "raysweep.reproduction.outcome": ("Reproduction",),
    "raysweep.scoring.predictions": ("Predictions",),
    "raysweep.results": ("Analysis", "SweepResult"),
    "raysweep.training.family": ("Family",),
    "raysweep.training.own_family": ("make_family", "register_family"),
}

__all__ = [
    "AliasMoved",
    "Analysis",
    "BundleRefused",
    "DataUnsuitable",
    "Deviations",
    "Family",
    "InputDeviation",
    "Interrupted",
    "Model",
    "NoTrialFinished",
    "NotFound",
    "Predictions",
    "Promotion",
    "RayUnavailable",
    "RaysweepError",
    "Reproduction",
    "RequestInvalid",
    "RunStatus",
    "RunTakenOver",
    "RunView",
    "StorageFailed",
    "SubmittedRun",
    "SweepConfig",
    "SweepResult",
    "Verification",
    "__version__",
    "analyze",
    "attach",
    "doctor",
    "load_model",
    "make_family",
    "predict",
    "promote",
    "register_family",
    "reproduce",
    "resume",
    "run_sweep",
    "show",
    "submit",
    "verify",
]


def __getattr__(name: str) -> object:
    for home, names in _HOME.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module 'raysweep' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
