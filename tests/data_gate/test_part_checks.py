"""The checks between the parts: each fault fires alone, and honest parts stay quiet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planted_faults import SPLIT_FAULTS, SplitFault, parts_task
from raysweep.records.table import Part, Severity
from raysweep.stages.split.part_checks import part_findings
from raysweep.stages.split.stability import stability_index
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


def test_a_part_with_one_class_stops_the_sweep():
    alone = SplitFault(
        lambda frame, part, _: frame.assign(target="low") if part is Part.VALIDATION else frame, {}, kind="time"
    )
    [finding] = part_findings(alone.rows(), parts_task(), DEFAULTS)
    assert (finding.check, finding.severity) == ("split.new_label", Severity.ERROR)
    assert "all 600 rows of validation have target = 'low'" in finding.message


def test_few_keys_that_differ_between_parts_are_a_warning():
    fault = SPLIT_FAULTS["a random part that differs"]
    found = part_findings(replace(fault.rows(), keys_repeat=True), parts_task(), DEFAULTS)
    assert {finding.severity for finding in found} == {Severity.WARNING}
