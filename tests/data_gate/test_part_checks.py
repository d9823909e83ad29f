"""The checks between the parts: each fault fires alone, and honest parts stay quiet."""

from __future__ import annotations

import numpy as np
import pytest

from planted_faults import SPLIT_FAULTS, SplitFault, parts_task
from raysweep.stages.split.part_checks import part_findings, stability_index
from raysweep.stages.validate.thresholds import DEFAULTS


@pytest.mark.parametrize("name", SPLIT_FAULTS)
def test_a_planted_fault_fires_alone(name):
    fault = SPLIT_FAULTS[name]
    found = part_findings(fault.rows(), parts_task(), DEFAULTS)
    assert {finding.check: finding.severity for finding in found} == fault.expected, found
    assert all(finding.message and finding.advice for finding in found)


@pytest.mark.parametrize("kind", ["stratified", "group"])
@pytest.mark.parametrize("sizes", [(60, 50, 50), (300, 100, 100), (6_000, 2_000, 2_000)])
def test_parts_that_differ_by_chance_alone_are_no_finding(kind, sizes):
    honest = SplitFault(lambda frame, _part, _rng: frame, {}, kind=kind)
    assert part_findings(honest.rows(sizes), parts_task(), DEFAULTS) == ()


def test_the_index_is_nothing_for_equal_shares_and_grows_with_the_difference():
    even = np.array([100, 100, 100])
    assert stability_index(even, even * 5) == 0
    some, more = stability_index(even * 9, np.array([150, 100, 50])), stability_index(even * 9, np.array([250, 40, 10]))
    assert 0 < some < more
