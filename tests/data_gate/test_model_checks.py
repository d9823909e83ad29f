"""The checks that fit small models: each fault fires alone, and clean tables stay quiet."""

from __future__ import annotations

import numpy as np
import pytest

from builders import clean_table
from planted_faults import ERROR, MODEL_FAULTS, check_frame, fired, loud
from raysweep.records.table import Severity, Suitability


@pytest.mark.parametrize("name", MODEL_FAULTS)
def test_a_planted_fault_fires_alone(name):
    fault = MODEL_FAULTS[name]
    frame = fault.plant(clean_table(fault.rows, seed=11, task=fault.task), np.random.default_rng(12))
    check = check_frame(frame, models=True, **fault.data)
    assert fired(check) == fault.expected, [finding.message for finding in check.findings]
    is_bad = ERROR in fault.expected.values()
    assert check.suitability is (Suitability.UNSUITABLE if is_bad else Suitability.WITH_WARNINGS)


@pytest.mark.parametrize("seed", range(20))
def test_a_clean_table_is_suitable(seed):
    task = ("binary", "multiclass", "regression")[seed % 3]
    check = check_frame(clean_table(2_500, seed, task), models=True)
    assert loud(check) == []
    assert not [finding for finding in check.findings if finding.severity is Severity.SKIPPED]
    [curve] = [finding for finding in check.findings if finding.check == "signal.learning_curve"]
    assert "from 416 rows" in curve.message
