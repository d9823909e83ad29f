"""What the final check finds out about a model beside its score: calibration, slices, threshold, behaviour, luck."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MUCH_WORSE: Final = 1.2
SIGNIFICANT: Final = 0.05


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval, which the bootstrap gives where nothing else is said.

    Attributes:
        low, high: of the interval, at the level that the final check says; NaN where it is not known.
    """

    value: float
    low: float
    high: float
    standard_error: float


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows with alike predictions: a bin of equal mass.

    Attributes:
        predicted: mean prediction (of the positive class, of the class predicted, or the number).
        observed: share of rows of that class, or the mean target.
        spread: standard deviation of target minus prediction; of numbers only, else 0.
    """

    rows: int
    predicted: float
    observed: float
    spread: float = 0.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """Whether probabilities mean what they say; on validation rows. For numbers: bias and spread by decile.

    Attributes:
        bins: by rising prediction: 15 for probabilities, 10 for numbers; fewer where predictions repeat, or a bin would
            have under 20 rows; none of fewer rows.
        error: expected calibration error over the bins (Naeini et al. 2015), a share; for numbers the mean absolute
            bias of the bins over the target's standard deviation. NaN without bins.
        slope, intercept: of the logistic regression of the outcome on the logit of the prediction (Cox 1958): 1 and 0
            for a calibrated model, slope under 1 for one that is too sure. For numbers: of target on prediction.
            None where they are not defined.
        brier, log_loss: None for numbers.
        chance: the error that a calibrated model is expected to have on these rows by chance alone (Bröcker & Smith
            2007), with their weights and groups; NaN where it is not known.
        chance_spread: standard deviation of that error from sample to sample.
    """

    bins: tuple[Bin, ...]
    error: float
    slope: Estimate | None
    intercept: Estimate | None
    brier: float | None = None
    log_loss: float | None = None
    chance: float = math.nan
    chance_spread: float = math.nan


@dataclass(frozen=True, slots=True)
class Slice:
    """Some of the validation rows, judged on their own.

    Attributes:
        name: such as `region = north` or `age > 41.5 and plan in {basic, plus}`.
        column: that was declared (`confirm.slices`); None for a slice that was found.
        rows: in it.
        score: the sweep's metric there; None where it is not defined, or the slice not judged.
        dummy_score: the dummy's there.
        loss_ratio: mean loss of its rows over the mean loss of all rows; 1.2 is 20 % worse; 1 where not judged.
        p_value: that its rows are no worse than the others, beyond what the model's own probabilities expect there;
            Holm-adjusted over all slices that are judged (Welch 1947; Holm 1979).
        floor: what the sweep file asks for there; None for nothing of its own.
        judged: False where it was declared and has too few rows to say anything.
    """

    name: str
    column: str | None
    rows: int
    score: float | None
    dummy_score: float | None
    loss_ratio: float
    p_value: float
    floor: float | None = None
    judged: bool = True

    @property
    def is_much_worse(self) -> bool:
        """Whether its loss is 20 % above that of all rows or more, and its rows are worse beyond doubt."""
        return self.judged and self.loss_ratio >= MUCH_WORSE and self.p_value < SIGNIFICANT

    def is_under_floor(self, sign: int) -> bool:
        """Whether it misses what the sweep file asks for there; `sign` as `Metric.sign`."""
        return self.judged and _is_under(self.score, self.floor, sign)

    def is_under_dummy(self, sign: int) -> bool:
        """Whether it was declared, and the dummy is better there; `sign` as `Metric.sign`."""
        return self.judged and self.column is not None and _is_under(self.score, self.dummy_score, sign)

    def is_weak(self, sign: int) -> bool:
        """Whether any of these holds: what a gate looks at and a report marks; `sign` as `Metric.sign`."""
        return self.is_much_worse or self.is_under_floor(sign) or self.is_under_dummy(sign)


def _is_under(score: float | None, bound: float | None, sign: int) -> bool:
    return score is not None and bound is not None and sign * score < sign * bound


@dataclass(frozen=True, slots=True)
class Confusion:
    """A confusion matrix of a binary model, in rows (or weight)."""

    true_positives: float
    false_positives: float
    false_negatives: float
    true_negatives: float

    @property
    def precision(self) -> float | None:
        """Share of the rows called positive that are; None where none is called so."""
        called = self.true_positives + self.false_positives
        return self.true_positives / called if called else None

    @property
    def recall(self) -> float | None:
        """Share of the positive rows that are found; None where there is none."""
        positive = self.true_positives + self.false_negatives
        return self.true_positives / positive if positive else None


@dataclass(frozen=True, slots=True)
class Threshold:
    """The probability from which on to say yes, chosen on testing rows, judged on validation rows.

    Attributes:
        value: the threshold. The published model's `predict` uses 0.5.
        criterion: the metric that it is the best for on testing rows.
        testing_score: of that metric there, for the fit on training rows.
        validation_score, at_half: of that metric on validation rows, at the threshold and at 0.5, for the fit that
            ships.
        confusion: on validation rows at the threshold.
        curve: pairs of a threshold and the score there on testing rows, for a drawing.
    """

    value: float
    criterion: str
    testing_score: float
    validation_score: float
    at_half: float
    confusion: Confusion
    curve: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Probe:
    """One thing that was tried with the model; `failed` and `slow` are what the gate goes by."""

    name: str
    said: str
    failed: bool = False
    slow: bool = False


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How the model takes what production brings, and what using it costs.

    Attributes:
        row_seconds: the median of predicting one row alone.
        batch_row_seconds: seconds a row in a large batch.
        size_bytes: of the model's files; None where it cannot be written.
    """

    probes: tuple[Probe, ...]
    row_seconds: float
    batch_row_seconds: float
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class Optimism:
    """How much too good the best of several candidates looks by luck alone on the rows that they were compared by.

    Attributes:
        candidates: that were compared at full effort.
        expected: in units of the metric, at least 0.
        rows: the rows whose predictions it was estimated from.
        part: what the candidates were compared by, in words (`SearchOutcome.part`).
    """

    candidates: int
    expected: float
    rows: int
    part: str = "testing"


@dataclass(frozen=True, slots=True)
class SeedSpread:
    """The winner fitted on training rows with several seeds.

    Attributes:
        testing, validation: the scores, a seed each; the first is the winner's own.
    """

    testing: tuple[float, ...]
    validation: tuple[float, ...]

    @property
    def spread(self) -> float:
        """Standard deviation of the validation scores (n - 1)."""
        mean = sum(self.validation) / len(self.validation)
        squares = sum((score - mean) ** 2 for score in self.validation)
        return float((squares / max(1, len(self.validation) - 1)) ** 0.5)


class CauseName(StrEnum):
    """What may keep a model from what was asked of it."""

    LABEL_NOISE = "label noise"
    FEW_ROWS = "too few rows"
    NARROW_SPACE = "space too narrow"
    SMALL_BUDGET = "budget too small"
    LEAKAGE = "leakage"
    SHIFT = "shift between parts"
    WEAK_SLICE = "weak slice"
    SEED_NOISE = "seed noise"
    WEAK_FEATURES = "features say too little"


@dataclass(frozen=True, slots=True)
class Cause:
    """One answer to "why not?".

    Attributes:
        evidence: the numbers, and on which part they were measured.
        advice: what to do next.
        price: what that takes, in words, such as `about 6 minutes more of search`.
        expected_gain: in units of the metric, above 0; None where it cannot be told.
        weight: how strongly the evidence speaks for it, 0 to 1; the answers are ordered by it.
    """

    name: CauseName
    evidence: str
    advice: str
    price: str
    expected_gain: float | None
    weight: float


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """Scores on testing rows of the winner fitted on more and more training rows.

    Attributes:
        points: pairs of training rows and score.
        doubled: the score that twice the training rows are expected to bring; None where no curve fits.
    """

    points: tuple[tuple[int, float], ...]
    doubled: float | None


@dataclass(frozen=True, slots=True)
class WhyNot:
    """Why a gate or the goal was missed: causes, the likeliest first.

    Attributes:
        shortfall: what is missing to the goal or the gate, in words.
        looked_at: what else was looked at: no cause, or not to be told; a sentence each.
    """

    shortfall: str
    causes: tuple[Cause, ...]
    looked_at: tuple[str, ...] = ()
    learning_curve: LearningCurve | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """The opening of the sealed validation rows, as the ledger has it.

    Attributes:
        digest: of the validation rows.
        use: which one of these rows this is, from 1.
        earlier: the runs that opened them before (or rows that overlap with them), oldest first.
        ledger: address of the ledger's object.
        level: of every interval: 0.95 for the first use, 1 - 0.05 / use after it (Bonferroni).
        is_repeat: the same sweep has opened them before: no new use.
    """

    digest: str
    use: int
    earlier: tuple[str, ...]
    ledger: str
    level: float
    is_repeat: bool = False


class Promotion(StrEnum):
    """What the comparison with the model in production says."""

    PROMOTE = "promote"
    KEEP = "keep"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Production:
    """The model in production, on the same validation rows.

    Attributes:
        bundle: its address.
        score: on validation; None where it could not be compared.
        gain: paired, of the new model over it.
        reason: why the answer is what it is.
    """

    bundle: str
    promotion: Promotion
    reason: str
    score: float | None = None
    gain: Estimate | None = None
