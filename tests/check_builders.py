"""Final checks with every field filled, as a classifier and a regression leave them; nothing here fits a model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from raysweep.records.final_check import Comparison, FinalCheck, Finalist, Gap, Gate, Outcome, Verdict
from raysweep.records.model_facts import (
    Behaviour,
    Bin,
    Calibration,
    Cause,
    CauseName,
    Confusion,
    Estimate,
    LearningCurve,
    Opened,
    Optimism,
    Probe,
    Production,
    Promotion,
    SeedSpread,
    Slice,
    Threshold,
    WhyNot,
)

GAP = Gap(
    0.8231,
    0.8104,
    0.0127,
    0.0071,
    training=0.8912,
    fit_drop=0.0681,
    fit_standard_error=0.0052,
    optimism=Optimism(37, 0.0043, 2_000),
)
NAN = float("nan")


def make_full_check(verdict: Verdict = Verdict.NOT_ADEQUATE, **changes: Any) -> FinalCheck:
    """0.8107 roc_auc at the second use of the validation rows: a goal is missed, a slice is weak."""
    score = Estimate(0.8107, 0.7921, 0.8288, 0.0082)
    metrics = {
        "roc_auc": score,
        "log_loss": Estimate(0.4513, 0.4322, 0.4718, 0.0088),
        "brier": Estimate(0.1471, 0.1398, 0.1546, 0.0033),
    }
    comparisons = (
        Comparison("dummy", 0.5, Estimate(0.3107, 0.2921, 0.3288, 0.0082)),
        Comparison("default", 0.8011, Estimate(0.0096, 0.0013, 0.0178, 0.0037)),
        Comparison("production", 0.7998, Estimate(0.0109, -0.0021, 0.0236, 0.0058)),
    )
    check = FinalCheck(
        metric="roc_auc",
        rows=2_000,
        fitted_on="training+testing",
        score=score,
        metrics=metrics,
        comparisons=comparisons,
        gap=GAP,
        gates=_gates(),
        verdict=verdict,
        resamples=1_000,
        resampled="groups",
        level=0.975,
        finalists=(
            Finalist(1, 17, "xgboost", "training+testing", score, metrics, comparisons, GAP),
            Finalist(
                2, 23, "random_forest", "training+testing", _other(), {"roc_auc": _other()}, comparisons[:1], None
            ),
        ),
        calibration=_calibration(),
        slices=_slices(),
        threshold=_threshold(),
        behaviour=_behaviour(),
        seeds=SeedSpread((0.8231, 0.8207, 0.8249), (0.8104, 0.8081, 0.8133)),
        production=Production(
            "s3://models/flights/42", Promotion.INCONCLUSIVE, "the gain's interval holds 0", 0.7998, comparisons[2].gain
        ),
        opened=Opened(
            digest="5ea1" * 16,
            use=2,
            earlier=("flights-20260101-101112-aaaaaa",),
            ledger="runs/.raysweep/ledger/5ea1.json",
            level=0.975,
        ),
        why_not=_why_not(),
    )
    return replace(check, **changes)


def make_full_regression_check(**changes: Any) -> FinalCheck:
    """An rmse of 12.31 where less is better; calibration is bias and spread by decile, and there is no threshold."""
    score = Estimate(12.31, 11.82, 12.86, 0.27)
    comparisons = (
        Comparison("dummy", 31.2, Estimate(18.89, 17.7, 20.1, 0.61)),
        Comparison("default", 12.9, Estimate(0.59, 0.21, 0.98, 0.19)),
    )
    bins = tuple(
        Bin(200, 20.0 + 12.0 * place, 20.0 + 12.0 * place + (-1) ** place * (1.5 + 0.2 * place), 8.0 + 0.9 * place)
        for place in range(10)
    )
    gap = Gap(12.02, 12.35, 0.33, 0.31, 9.4, 2.62, 0.24, Optimism(37, 0.08, 2_000))
    slices = (Slice("region = north", "region", 410, 14.9, 30.1, 1.46, 0.0004, 14.0),)
    return make_full_check(
        **{
            "verdict": Verdict.WITH_WARNINGS,
            "metric": "rmse",
            "score": score,
            "metrics": {"rmse": score, "r2": Estimate(0.84, 0.82, 0.86, 0.01)},
            "comparisons": comparisons,
            "gap": gap,
            "gates": (
                Gate("beats the dummy", Outcome.PASSED, "gain over the dummy 18.89 [17.7, 20.1]"),
                Gate("slices", Outcome.WARNING, "region = north: 14.9, over its floor 14"),
            ),
            "resampled": "rows",
            "level": 0.95,
            "finalists": (),
            "calibration": Calibration(bins, 0.051, Estimate(1.02, 0.99, 1.05, 0.015), Estimate(-0.7, -1.9, 0.5, 0.61)),
            "slices": slices,
            "threshold": None,
            "seeds": SeedSpread((12.02, 12.1), (12.35, 12.51)),
            "production": None,
            "opened": Opened("5ea1" * 16, 1, (), "runs/.raysweep/ledger/5ea1.json", 0.95),
            "why_not": None,
            **changes,
        }
    )


def without_numbers(check: FinalCheck) -> FinalCheck:
    """The same check where hardly anything could be estimated."""
    lost = Estimate(NAN, NAN, NAN, NAN)
    calibration = check.calibration
    return replace(
        check,
        score=lost,
        metrics=dict.fromkeys(check.metrics, lost),
        comparisons=tuple(replace(one, other_score=NAN, gain=lost) for one in check.comparisons),
        gap=Gap(NAN, NAN, NAN, NAN, NAN, NAN, NAN, Optimism(3, NAN, 10)),
        finalists=tuple(replace(one, score=lost) for one in check.finalists),
        calibration=calibration and Calibration((Bin(3, NAN, NAN, NAN),), NAN, lost, None, calibration.brier and NAN),
        slices=tuple(replace(one, score=NAN, dummy_score=NAN, loss_ratio=NAN, p_value=NAN) for one in check.slices),
        threshold=check.threshold and replace(check.threshold, value=NAN, curve=((NAN, NAN), (0.5, NAN))),
        seeds=SeedSpread((NAN, NAN), (NAN, NAN)),
        production=check.production and replace(check.production, score=NAN, gain=lost),
        why_not=check.why_not and replace(check.why_not, learning_curve=LearningCurve(((10, NAN), (20, NAN)), NAN)),
    )


def _other() -> Estimate:
    return Estimate(0.8042, 0.7851, 0.8229, 0.0084)


def _gates() -> tuple[Gate, ...]:
    passed, warning = Outcome.PASSED, Outcome.WARNING
    return (
        Gate("evidence", passed, "2,000 validation rows, 431 of the rarest class"),
        Gate("seal", warning, "the second use of these validation rows: every interval is at 97.5 %"),
        Gate("beats the dummy", passed, "gain over the dummy 0.3107 [0.2921, 0.3288]"),
        Gate("beats the default", passed, "gain over the family's default parameters 0.0096 [0.0013, 0.0178]"),
        Gate("generalises", passed, "testing 0.8231, validation 0.8104: 0.013 worse, +1.8 standard errors"),
        Gate("goal", Outcome.FAILED, "roc_auc 0.8107 [0.7921, 0.8288] on validation, goal 0.85: missed"),
        Gate("production", Outcome.INCONCLUSIVE, "the gain over production holds 0: keep production"),
        Gate("calibration", warning, "slope 0.76 [0.69, 0.83]: too sure"),
        Gate("slices", Outcome.FAILED, "region = north: 0.688, under its floor 0.7"),
        Gate("behaviour", warning, "one row takes 48 ms"),
    )


def _calibration() -> Calibration:
    rows = (134, 133) * 7 + (133,)
    bins = tuple(
        Bin(count, 0.02 + 0.063 * place, min(0.98, max(0.0, 0.08 + 0.052 * place + 0.02 * (-1) ** place)))
        for place, count in enumerate(rows)
    )
    slope, intercept = Estimate(0.76, 0.69, 0.83, 0.035), Estimate(-0.12, -0.24, 0.01, 0.062)
    return Calibration(bins, 0.0371, slope, intercept, 0.1471, 0.4513, chance=0.0213, chance_spread=0.0041)


def _slices() -> tuple[Slice, ...]:
    return (
        Slice("region = north", "region", 410, 0.688, 0.5, 1.34, 0.0007, 0.7),
        Slice("region = south", "region", 890, 0.841, 0.5, 0.91, 1.0, 0.7),
        Slice("region = islands", "region", 24, None, None, 1.08, 1.0),
        Slice("age > 41.5 and plan in {basic, plus}", None, 231, 0.702, 0.5, 1.27, 0.018),
        Slice("region = moon", "region", 3, None, None, 1.0, 1.0, 0.7, judged=False),
    )


def _threshold() -> Threshold:
    curve = tuple((round(0.02 * place, 2), 0.62 - 1.1 * (0.02 * place - 0.34) ** 2) for place in range(1, 50))
    return Threshold(0.34, "f1", 0.62, 0.6077, 0.5712, Confusion(301, 257, 130, 1_312), curve)


def _behaviour() -> Behaviour:
    probes = (
        Probe("missing row", "predicts 0.22 for a row without values"),
        Probe("unseen category", "predicts; 3 columns tried"),
        Probe("extreme values", "gives NaN for 1e300", failed=True),
        Probe("one row", "takes 48.2 ms", slow=True),
    )
    return Behaviour(probes, 0.0482, 0.0000213, 4_718_592)


def _why_not() -> WhyNot:
    causes = (
        Cause(
            CauseName.FEW_ROWS,
            "on testing, roc_auc still rises: 0.801 with 3,000 training rows, 0.823 with 6,000",
            "bring twice as many rows",
            "12,000 rows more",
            0.0135,
            0.81,
        ),
        Cause(
            CauseName.NARROW_SPACE,
            "7 of the 10 best trials have max_depth at its upper end of 12",
            "widen max_depth to 20",
            "about 6 minutes more of search",
            0.004,
            0.55,
        ),
        Cause(
            CauseName.LABEL_NOISE,
            "3.1 % of the training rows are labelled otherwise by all folds",
            "look at the 40 rows in findings",
            "an afternoon",
            None,
            0.2,
        ),
    )
    return WhyNot(
        "0.0393 of roc_auc on validation is missing to the goal 0.85",
        causes,
        ("No column tells the part from which a row comes (roc_auc 0.51).", "The spread over seeds is small."),
        LearningCurve(((750, 0.742), (1_500, 0.776), (3_000, 0.801), (6_000, 0.8231)), 0.8366),
    )
