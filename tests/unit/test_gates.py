"""Each gate of the final check with each of its outcomes, and the verdict that they lead to."""

from __future__ import annotations

import pytest

from raysweep.records.aims import Aims
from raysweep.records.final_check import Comparison, Gap, Gate, Outcome, Verdict
from raysweep.records.metric import METRICS
from raysweep.records.model_facts import Estimate
from raysweep.stages.confirm.gates import (
    constraints_gate,
    decide,
    default_gate,
    dummy_gate,
    evidence_gate,
    gap_gate,
    goal_gate,
    seal_gate,
)

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
    assert evidence_gate(rows, counts).outcome is expected


def test_the_seal():
    assert seal_gate(0).outcome is Outcome.PASSED
    assert seal_gate(1).outcome is Outcome.FAILED


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
    assert "1 row keys" in seal_gate(1).reason
    assert (
        "testing 0.8, validation 0.7 (fit on training rows): 0.1 worse, +5.0"
        in gap_gate(Gap(0.8, 0.7, 0.1, 0.02)).reason
    )
