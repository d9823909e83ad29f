"""Each gate of the final check with each of its outcomes, and the verdict that they lead to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from raysweep.records.aims import Aims
from raysweep.records.final_check import Comparison, Gap, Gate, Outcome, Verdict
from raysweep.records.metric import METRICS
from raysweep.records.model_facts import (
    Behaviour,
    Bin,
    Calibration,
    Estimate,
    Opened,
    Optimism,
    Probe,
    Production,
    Promotion,
    Slice,
)
from raysweep.stages.confirm.evidence import promotion_of
from raysweep.stages.confirm.gates import (
    constraints_gate,
    decide,
    default_gate,
    dummy_gate,
    evidence_gate,
    gap_gate,
    goal_gate,
    production_gate,
    seal_gate,
)
from raysweep.stages.confirm.model_gates import behaviour_gate, calibration_gate, slices_gate
from raysweep.training.calibration import calibrate_probabilities

AUC, RMSE = METRICS["roc_auc"], METRICS["rmse"]
NAN = float("nan")


def gain(value, low, high, other=0.5):
    return Comparison("other", other, Estimate(value, low, high, 0.01))


@pytest.mark.parametrize(
    ("comparison", "metric", "expected"),
    [
        (gain(0.3, 0.25, 0.35), AUC, Outcome.PASSED),
        (gain(0.04, 0.01, 0.07), AUC, Outcome.WARNING),
        (gain(0.05, 0.01, 0.07), AUC, Outcome.PASSED),
        (gain(0.3, 0.0, 0.6), AUC, Outcome.FAILED),
        (gain(-0.1, -0.2, -0.05), AUC, Outcome.FAILED),
        (gain(0.3, NAN, NAN), AUC, Outcome.FAILED),
        (gain(3.0, 2.0, 4.0, other=10.0), RMSE, Outcome.PASSED),
        (gain(0.9, 0.5, 1.2, other=10.0), RMSE, Outcome.WARNING),
    ],
)
def test_beats_the_dummy(comparison, metric, expected):
    assert dummy_gate(comparison, metric).outcome is expected


@pytest.mark.parametrize(
    ("comparison", "rivals", "expected"),
    [
        (gain(0.05, 0.01, 0.09), None, Outcome.PASSED),
        (gain(0.05, -0.01, 0.09), None, Outcome.WARNING),
        (gain(0.0, 0.0, 0.0), None, Outcome.WARNING),
        (gain(0.1, NAN, NAN), None, Outcome.WARNING),
        (gain(-0.05, -0.09, -0.01), None, Outcome.FAILED),
        (None, None, Outcome.WARNING),
        (None, 0, Outcome.WARNING),
        (None, 7, Outcome.WARNING),
    ],
)
def test_beats_the_default(comparison, rivals, expected):
    assert default_gate(comparison, rivals=rivals).outcome is expected


@pytest.mark.parametrize(
    ("score", "goal", "metric", "expected"),
    [
        (Estimate(0.9, 0.88, 0.92, 0.01), 0.8, AUC, Outcome.PASSED),
        (Estimate(0.9, 0.88, 0.92, 0.01), 0.89, AUC, Outcome.WARNING),
        (Estimate(0.9, 0.88, 0.92, 0.01), 0.91, AUC, Outcome.FAILED),
        (Estimate(0.9, 0.9, 0.9, 0.0), 0.9, AUC, Outcome.PASSED),
        (Estimate(2.0, 1.8, 2.2, 0.1), 3.0, RMSE, Outcome.PASSED),
        (Estimate(2.0, 1.8, 2.2, 0.1), 2.1, RMSE, Outcome.WARNING),
        (Estimate(2.0, 1.8, 2.2, 0.1), 1.9, RMSE, Outcome.FAILED),
        (Estimate(NAN, NAN, NAN, NAN), 0.7, AUC, Outcome.INCONCLUSIVE),
    ],
)
def test_the_goal(score, goal, metric, expected):
    gate = goal_gate(score, goal, metric)
    assert gate is not None
    assert gate.outcome is expected
    assert goal_gate(score, None, metric) is None


def test_bounds_are_held_against_the_model_that_ships():
    aims = Aims.named("roc_auc", (), {"size_bytes": 1_000, "brier": 0.2})
    kept = constraints_gate({"size_bytes": 900, "brier": 0.1, "roc_auc": 0.9}, aims)
    broken = constraints_gate({"size_bytes": 900, "brier": 0.3}, aims)
    assert kept.outcome is Outcome.PASSED
    assert "size_bytes 900 (at most 1,000), brier 0.1 (at most 0.2)" in kept.reason
    assert broken.outcome is Outcome.FAILED
    assert "brier 0.3 (at most 0.2)" in broken.reason
    assert "size_bytes" not in broken.reason
    assert decide([kept, broken]) is Verdict.NOT_ADEQUATE
    assert constraints_gate({}, Aims.named("roc_auc")) is None
    unknown = constraints_gate({"size_bytes": 900, "brier": NAN}, aims)
    assert unknown.outcome is Outcome.INCONCLUSIVE
    assert "brier is not defined" in unknown.reason


@pytest.mark.parametrize(
    ("gap", "expected"),
    [
        (Gap(0.80, 0.80, 0.0, 0.01), Outcome.PASSED),
        (Gap(0.80, 0.83, -0.03, 0.01), Outcome.PASSED),
        (Gap(0.80, 0.775, 0.025, 0.01), Outcome.WARNING),
        (Gap(0.80, 0.75, 0.05, 0.04), Outcome.WARNING),
        (Gap(0.80, 0.765, 0.035, 0.01), Outcome.WARNING),
        (Gap(0.80, 0.70, 0.10, 0.02), Outcome.FAILED),
        (Gap(1.0, 1.3, 0.3, 0.05), Outcome.FAILED),
        (Gap(1.0, 0.0, 1.0, 0.0), Outcome.FAILED),
        (Gap(0.0, 0.0, 0.0, 0.0), Outcome.PASSED),
        (Gap(-0.1, -0.4, 0.3, 0.01), Outcome.FAILED),
        (None, Outcome.INCONCLUSIVE),
    ],
)
def test_generalises(gap, expected):
    assert gap_gate(gap).outcome is expected


def test_a_drop_without_noise_is_no_pass():
    assert gap_gate(Gap(0.9, 0.5, 0.4, 0.0)).outcome is not Outcome.PASSED


@pytest.mark.parametrize(
    ("rows", "counts", "expected"),
    [
        (19, [], Outcome.INCONCLUSIVE),
        (20, [], Outcome.WARNING),
        (100, [], Outcome.PASSED),
        (5_000, [4_998, 2], Outcome.INCONCLUSIVE),
        (5_000, [4_998, 2, 0], Outcome.INCONCLUSIVE),
        (5_000, [4_991, 9], Outcome.WARNING),
        (5_000, [4_990, 10], Outcome.PASSED),
    ],
)
def test_the_evidence(rows, counts, expected):
    assert evidence_gate(rows, counts, Estimate(0.8, 0.75, 0.85, 0.02), 0.5).outcome is expected


@pytest.mark.parametrize(
    ("low", "high", "distance", "expected"),
    [
        (0.70, 0.94, 0.5, Outcome.PASSED),
        (0.65, 0.95, 0.5, Outcome.INCONCLUSIVE),
        (0.2, 0.7, 0.69, Outcome.INCONCLUSIVE),
        (NAN, NAN, 0.5, Outcome.INCONCLUSIVE),
        (0.5, 0.5, 0.0, Outcome.PASSED),
    ],
)
def test_an_interval_that_says_nothing_is_no_evidence(low, high, distance, expected):
    gate = evidence_gate(5_000, [2_500, 2_500], Estimate(0.8, low, high, 0.02), distance)
    assert gate.outcome is expected


def test_a_part_of_the_rows_that_was_opened_before_is_said():
    opened = replace(opening(1), earlier=("run-7",))
    assert seal_gate(0, opened).outcome is Outcome.PASSED
    assert "some of these validation rows were opened by run-7" in seal_gate(0, opened).reason


def opening(use, *, is_repeat=False):
    earlier = tuple(f"run-{number}" for number in range(1, use))
    return Opened("digest", use, earlier, "ledger.json", 1 - 0.05 / use, is_repeat=is_repeat)


@pytest.mark.parametrize(
    ("shared", "use", "broken", "expected", "said"),
    [
        (0, 1, "", Outcome.PASSED, "no other sweep has opened validation"),
        (3, 1, "", Outcome.FAILED, "3 row keys"),
        (0, 1, "opened before by somebody", Outcome.FAILED, "opened before by somebody"),
        (0, 2, "", Outcome.WARNING, "the 2nd time (before: run-1): intervals are widened to 97.5 %"),
        (0, 5, "", Outcome.WARNING, "the 5th time (before: run-1, run-2, run-3, run-4): intervals are widened to 99 %"),
        (0, 6, "", Outcome.INCONCLUSIVE, "get fresh rows"),
    ],
)
def test_the_seal(shared, use, broken, expected, said):
    gate = seal_gate(shared, opening(use), broken)
    assert gate.outcome is expected
    assert said in gate.reason


@pytest.mark.parametrize(
    ("value", "low", "high", "margin", "expected", "promotion"),
    [
        (0.02, 0.01, 0.03, 0.0, Outcome.PASSED, Promotion.PROMOTE),
        (0.01, -0.01, 0.03, 0.0, Outcome.WARNING, Promotion.KEEP),
        (-0.02, -0.03, -0.01, 0.0, Outcome.FAILED, Promotion.KEEP),
        (-0.02, -0.03, -0.01, 0.02, Outcome.WARNING, Promotion.KEEP),
        (-0.05, -0.06, -0.04, 0.02, Outcome.FAILED, Promotion.KEEP),
    ],
)
def test_the_model_in_production(value, low, high, margin, expected, promotion):
    found, reason = promotion_of(low, high)
    gate = production_gate(Production("b", found, reason, 0.8, Estimate(value, low, high, 0.01)), margin)
    assert found is promotion
    assert gate.outcome is expected


def test_production_that_cannot_be_compared_is_said_and_no_failure():
    gate = production_gate(Production("b", Promotion.INCONCLUSIVE, "another seed"), 0.0)
    assert gate.outcome is Outcome.WARNING
    assert "inconclusive: another seed" in gate.reason
    assert production_gate(None, 0.0) is None
    assert promotion_of(NAN, NAN)[0] is Promotion.INCONCLUSIVE


def calibration(error, slope=None, brier=0.1, chance=0.03, spread=0.006):
    bins = tuple(Bin(133, 0.05 + 0.06 * number, 0.05 + 0.06 * number) for number in range(15))
    return Calibration(bins, error, slope, None, brier, 0.3, chance, spread)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (calibration(0.03, Estimate(1.0, 0.9, 1.1, 0.05)), Outcome.PASSED),
        (calibration(0.03, Estimate(0.7, 0.6, 0.75, 0.05)), Outcome.FAILED),
        (calibration(0.03, Estimate(0.7, 0.3, 1.1, 0.2)), Outcome.PASSED),
        (calibration(0.03, Estimate(1.4, 1.3, 1.5, 0.05)), Outcome.FAILED),
        (calibration(0.12, None), Outcome.FAILED),
        (calibration(0.079, None), Outcome.PASSED),
        (calibration(0.12, None, chance=0.1), Outcome.PASSED),
        (calibration(0.16, None, chance=0.1, spread=0.03), Outcome.PASSED),
        (calibration(0.17, None, chance=0.1, spread=0.03), Outcome.FAILED),
    ],
)
def test_calibration(facts, expected):
    assert calibration_gate(facts, required=True).outcome is expected
    softer = Outcome.WARNING if expected is Outcome.FAILED else expected
    assert calibration_gate(facts, required=False).outcome is softer


def test_numbers_have_no_calibration_gate():
    assert calibration_gate(calibration(0.5, brier=None), required=True) is None
    assert calibration_gate(None, required=False) is None


@pytest.mark.parametrize("unknown", [None, calibration(NAN, chance=NAN, spread=NAN), calibration(NAN)])
def test_calibration_that_is_required_and_unknown_is_inconclusive(unknown):
    gate = calibration_gate(unknown, required=True)
    assert gate is not None
    assert gate.outcome is Outcome.INCONCLUSIVE
    assert calibration_gate(unknown, required=False) is None


def calibrated(seed, rows, sigma):
    """Weights from a lognormal distribution; every row stands for itself."""
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.05, 0.95, rows)
    return (rng.random(rows) < p).astype(float), p, rng.lognormal(0, sigma, rows), None


def calibrated_groups(seed, groups, size, concentration):
    """Groups whose shares scatter around what is predicted, which is right on average."""
    rng = np.random.default_rng(seed)
    base = rng.uniform(0.1, 0.9, groups)
    share = np.repeat(rng.beta(base * concentration, (1 - base) * concentration), size)
    group = np.repeat(np.arange(groups, dtype=np.uint64), size)
    return (rng.random(groups * size) < share).astype(float), np.repeat(base, size), None, group


@pytest.mark.parametrize(
    ("make", "given"),
    [
        (calibrated, (300, 0.0)),
        (calibrated, (300, 1.0)),
        (calibrated, (1_000, 1.5)),
        (calibrated_groups, (100, 10, 1.0)),
        (calibrated_groups, (60, 20, 2.0)),
        (calibrated_groups, (40, 50, 3.0)),
    ],
)
def test_calibrated_models_seldom_fail(make, given):
    """The slope's interval misses 1 in 5 of 100 by design; the error hardly adds to it."""
    facts = [
        calibrate_probabilities(y, np.column_stack([1 - p, p]), weight, group=group)
        for y, p, weight, group in (make(seed, *given) for seed in range(100))
    ]
    failed = [calibration_gate(one, required=True).outcome is Outcome.FAILED for one in facts]
    by_error = [calibration_gate(replace(one, slope=None), required=True).outcome is Outcome.FAILED for one in facts]
    assert sum(by_error) <= 5
    assert sum(failed) <= 12


def test_models_that_are_off_fail_with_weights_and_groups_too():
    for make, given in ((calibrated, (1_000, 1.0)), (calibrated_groups, (200, 10, 5.0))):
        y, p, weight, group = make(0, *given)
        off = np.clip(p + 0.2, 0, 1)
        facts = calibrate_probabilities(y, np.column_stack([1 - off, off]), weight, group=group)
        assert calibration_gate(replace(facts, slope=None), required=True).outcome is Outcome.FAILED


def piece(score, dummy=0.5, *, ratio=1.0, p=1.0, column="region", floor=None):
    return Slice("region = north", column, 400, score, dummy, ratio, p, floor)


@pytest.mark.parametrize(
    ("slices", "expected"),
    [
        ([], Outcome.PASSED),
        ([piece(0.8)], Outcome.PASSED),
        ([piece(0.45, ratio=1.6, p=0.001)], Outcome.FAILED),
        ([piece(0.49, ratio=1.1, p=0.3)], Outcome.WARNING),
        ([piece(0.8, floor=0.85)], Outcome.FAILED),
        ([piece(0.8, floor=0.75)], Outcome.PASSED),
        ([piece(0.7, ratio=1.3, p=0.01, column=None)], Outcome.WARNING),
        ([piece(0.3, ratio=1.9, p=0.01, column=None)], Outcome.WARNING),
        ([piece(0.7, ratio=1.3, p=0.2)], Outcome.PASSED),
        ([piece(None, None)], Outcome.PASSED),
    ],
)
def test_slices(slices, expected):
    assert slices_gate(slices, AUC).outcome is expected


FEW = replace(piece(None, None), name="region = moon", rows=3, judged=False)


@pytest.mark.parametrize(
    ("slices", "declared", "expected", "said"),
    [
        ([piece(0.8), FEW], {"region": None}, Outcome.PASSED, "1 slices, none 20 % worse than all rows; 1 named slice"),
        ([FEW, FEW], {"region": None}, Outcome.PASSED, "enough rows to be judged; 2 named slices have too few rows"),
        ([piece(0.7, ratio=1.3, p=0.01), FEW], {"region": None}, Outcome.WARNING, "1 named slice has too few rows"),
        ([piece(0.8), replace(FEW, floor=0.7)], {"region": 0.7}, Outcome.INCONCLUSIVE, "moon: too few to judge on 3"),
        ([piece(0.6, floor=0.7), replace(FEW, floor=0.7)], {"region": 0.7}, Outcome.FAILED, "asked for 0.7"),
        ([piece(None, None, floor=0.7)], {"region": 0.7}, Outcome.INCONCLUSIVE, "north: undefined on 400"),
        ([], {"region": 0.7}, Outcome.INCONCLUSIVE, "slices of region: could not be measured, asked for 0.7"),
        ([piece(0.8, column=None)], {"region": 0.7}, Outcome.INCONCLUSIVE, "could not be measured"),
        ([piece(0.8), piece(0.8, column=None)], {"region": None, "age": None}, Outcome.PASSED, "slices of age could"),
        ([piece(0.8, floor=0.7)], {"region": 0.7}, Outcome.PASSED, "1 slices"),
    ],
)
def test_a_floor_that_cannot_be_looked_at_is_not_kept(slices, declared, expected, said):
    gate = slices_gate(slices, AUC, declared)
    assert gate.outcome is expected
    assert said in gate.reason


@pytest.mark.parametrize(
    ("probe", "expected"),
    [
        (Probe("a row", "fine"), Outcome.PASSED),
        (Probe("a row", "took 1 s", slow=True), Outcome.WARNING),
        (Probe("missing row", "ValueError: no", failed=True), Outcome.FAILED),
    ],
)
def test_behaviour(probe, expected):
    gate = behaviour_gate(Behaviour((probe,), 0.001, 0.0001, 1_000))
    assert gate.outcome is expected
    assert probe.said in gate.reason or expected is Outcome.PASSED


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ({}, Verdict.ADEQUATE),
        ({"goal": Outcome.WARNING}, Verdict.WITH_WARNINGS),
        ({"goal": Outcome.FAILED, "beats the default": Outcome.WARNING}, Verdict.NOT_ADEQUATE),
        ({"generalises": Outcome.INCONCLUSIVE, "goal": Outcome.WARNING}, Verdict.INCONCLUSIVE),
        ({"generalises": Outcome.INCONCLUSIVE, "beats the dummy": Outcome.FAILED}, Verdict.NOT_ADEQUATE),
        ({"evidence": Outcome.INCONCLUSIVE, "beats the dummy": Outcome.FAILED}, Verdict.INCONCLUSIVE),
        ({"evidence": Outcome.WARNING}, Verdict.WITH_WARNINGS),
        ({"evidence": Outcome.INCONCLUSIVE, "seal": Outcome.FAILED}, Verdict.NOT_ADEQUATE),
        ({"seal": Outcome.INCONCLUSIVE, "goal": Outcome.FAILED}, Verdict.INCONCLUSIVE),
        ({"seal": Outcome.WARNING}, Verdict.WITH_WARNINGS),
    ],
)
def test_the_verdict(outcomes, expected):
    names = ("evidence", "seal", "beats the dummy", "beats the default", "generalises", "goal")
    gates = [Gate(name, outcomes.get(name, Outcome.PASSED), name) for name in names]
    verdict = decide(gates)
    assert verdict is expected
    assert verdict.allows_use == (expected in {Verdict.ADEQUATE, Verdict.WITH_WARNINGS})


def test_reasons_hold_numbers():
    gate = dummy_gate(gain(0.3, 0.25, 0.35), AUC)
    assert "0.3 [0.25, 0.35]" in gate.reason
    luck = replace(Gap(0.8, 0.7, 0.1, 0.02), optimism=Optimism(40, 0.03, 200))
    assert "choosing the best of 40 by testing explains about 0.03" in gap_gate(luck).reason
    assert (
        "testing 0.8, validation 0.7 (fit on training rows): 0.1 worse, 5.0"
        in gap_gate(Gap(0.8, 0.7, 0.1, 0.02)).reason
    )
