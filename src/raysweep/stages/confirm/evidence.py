"""What the final check judges by: predictions on the rows of each part, and what was found out about the model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from raysweep.records.model_facts import Behaviour, Calibration, Opened, Optimism, Promotion, Slice, Threshold
from raysweep.records.trial import Trial
from raysweep.training.learner import Floats
from raysweep.training.trial_data import RowBlock


@dataclass(frozen=True, slots=True)
class FinalistEvidence:
    """The predictions of a finalist and of what it is compared with.

    Attributes:
        fitted_on: the rows of the fit that is scored.
        validation: of that fit, on validation rows.
        default: of its family's default parameters on validation rows, fitted like it; None where there is none, or the
            default is the finalist.
        rivals: where the default is the finalist, how many other candidates of its family had a score; else None.
        trained_training, trained_testing, trained_validation: of the fit on training rows alone, on each part.
    """

    trial: Trial
    fitted_on: str
    validation: Floats
    default: Floats | None
    rivals: int | None
    trained_training: Floats
    trained_testing: Floats
    trained_validation: Floats


@dataclass(frozen=True, slots=True)
class Champion:
    """The model in production on validation rows.

    Attributes:
        unfair: why it cannot be compared; empty where it can.
    """

    bundle: str
    predicted: Floats | None = None
    unfair: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that the final check judges by.

    Attributes:
        training, testing, validation: targets, weights and groups of the parts (and their inputs).
        finalists: by rank on testing; the first one ships.
        dummy: predictions of the dummy on validation rows.
        seeds: for each further seed of the winner, the predictions of its fit on training rows, on testing and on
            validation.
        costs: of the model that ships, as far as they were asked for.
        broken: how the seal was broken before; empty where it was not.
    """

    training: RowBlock
    testing: RowBlock
    validation: RowBlock
    finalists: tuple[FinalistEvidence, ...]
    dummy: Floats
    seeds: tuple[tuple[Floats, Floats], ...]
    keys_shared: int
    opened: Opened
    behaviour: Behaviour
    optimism: Optimism | None = None
    calibration: Calibration | None = None
    threshold: Threshold | None = None
    slices: tuple[Slice, ...] = ()
    champion: Champion | None = None
    costs: Mapping[str, float] = field(default_factory=dict)
    broken: str = ""


def promotion_of(low: float, high: float) -> tuple[Promotion, str]:
    """What the interval of the gain over the model in production says."""
    if not math.isfinite(low + high):
        return Promotion.INCONCLUSIVE, "the metric is not defined on these validation rows"
    if low > 0:
        return Promotion.PROMOTE, "the new model is better"
    if high < 0:
        return Promotion.KEEP, "the new model is worse"
    return Promotion.KEEP, "the new model is not measurably better"
