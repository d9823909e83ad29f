"""What the data checks look at besides the profile."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from raysweep.config import SweepConfig
from raysweep.records.table import Column, Severity
from raysweep.stages.validate.learning_task import TargetReading
from raysweep.stages.validate.thresholds import Thresholds

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Context:
    """What a check may ask for.

    Attributes:
        thresholds: check -> key -> limit.
        candidates: columns that may become features.
        target: what the target's values say; None without a target.
        usable: rows of the sample that model-based checks may look at.
    """

    config: SweepConfig
    thresholds: Thresholds
    candidates: tuple[Column, ...]
    target: TargetReading | None
    usable: Mask

    def limit(self, check: str, key: str) -> float:
        """The threshold of a check."""
        return self.thresholds[check][key]

    def crossed(self, check: str, share: float) -> tuple[Severity, float] | None:
        """The severity of a share over the `error` or `warn` limit of a check, and that limit, if any."""
        for severity, key in ((Severity.ERROR, "error"), (Severity.WARNING, "warn")):
            if share > self.limit(check, key):
                return severity, self.limit(check, key)
        return None
