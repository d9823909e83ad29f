"""What the sweep file accepts: with a reason, up to a bound, until a day, and never without a trace."""

from __future__ import annotations

from datetime import date

import pytest

from builders import clean_table, sweep_config
from planted_faults import ERROR, WARNING, check_frame, fired, null_where, only
from raysweep.config import Waiver
from raysweep.errors import RequestInvalid
from raysweep.records.table import Finding, Severity, Suitability
from raysweep.stages.validate.document import findings_document
from raysweep.stages.validate.gate import with_findings
from raysweep.stages.validate.waivers import apply_waivers, unused_waivers

TODAY = date(2026, 11, 23)
FOUND = Finding("rows.duplicates", ERROR, "half of the rows repeat", share=0.5)


def accept(**changed):
    return Waiver(**{"check": "rows.duplicates", "max": 0.6, "reason": "meters repeat", **changed})


def judged(*waivers, finding=FOUND):
    [one] = apply_waivers([finding], waivers, TODAY)
    return one


@pytest.mark.parametrize("until", [None, TODAY, date(2030, 1, 1)])
def test_a_finding_within_the_bound_is_accepted_with_its_reason(until):
    found = judged(accept(until=until))
    assert found.severity is Severity.WAIVED
    assert found.waived.startswith("meters repeat (up to 0.6")
    assert (found.waived.endswith(")"), str(until) in found.waived) == (True, until is not None)


@pytest.mark.parametrize(
    ("waiver", "said"),
    [
        (accept(until=date(2026, 11, 22)), "accepted it until 2026-11-22"),
        (accept(max=0.4), "accepts it up to 0.4, and it is 0.5"),
    ],
)
def test_an_ended_or_crossed_waiver_only_says_so(waiver, said):
    found = judged(waiver)
    assert (found.severity, found.waived) == (ERROR, None)
    assert said in found.message


@pytest.mark.parametrize("turned", [False, True])
def test_any_of_several_waivers_is_enough(turned):
    waivers = [accept(max=0.1), accept(until=date(2020, 1, 1)), accept(max=0.5)]
    assert judged(*(reversed(waivers) if turned else waivers)).severity is Severity.WAIVED


def test_a_waiver_of_a_column_is_for_that_column():
    finding = Finding("col.missing", WARNING, "gone", column="a", share=0.4)
    assert judged(accept(check="col.missing", column="b"), finding=finding) == finding
    assert judged(accept(check="col.missing", column="a"), finding=finding).severity is Severity.WAIVED


def test_a_finding_that_only_is_or_is_not_counts_as_one():
    finding = Finding("leak.name", WARNING, "called label", column="label")
    assert judged(accept(check="leak.name", max=0.99), finding=finding).severity is WARNING
    assert judged(accept(check="leak.name", max=1), finding=finding).severity is Severity.WAIVED


def test_an_unused_waiver_is_said():
    assert unused_waivers([judged(accept())], [accept()]) == ()
    assert unused_waivers([FOUND], [accept(check="col.missing", column="a")]) == (
        "checks.accept: col.missing of a met no finding; it can go",
    )


def test_accepted_data_are_suitable_and_the_reason_is_published():
    frame = null_where(clean_table(5_000, 1), "amount", clean_table(5_000, 1).index < 2_000)
    checks = {"accept": [{"check": "col.missing", "column": "amount", "max": 0.45, "reason": "sensor was off"}]}
    check = check_frame(frame, checks=checks)
    assert check.suitability is Suitability.SUITABLE
    document = findings_document(check)
    [waived] = [one for one in document["findings"] if one["severity"] == "waived"]
    assert "sensor was off (up to 0.45)" in waived["waived"]
    worse = null_where(frame, "amount", frame.index < 2_500)
    assert fired(check_frame(worse, checks=checks)) == {"col.missing": WARNING}


def test_a_waiver_of_the_split_is_judged_once_there_is_a_split():
    config = sweep_config(checks={"accept": [{"check": "split.drift", "max": 1, "reason": "seasons"}]})
    frame = clean_table(2_000, 1)
    check = check_frame(frame, checks={"accept": [{"check": "split.drift", "max": 1, "reason": "seasons"}]})
    assert check.unused_waivers == ()
    drift = Finding("split.drift", WARNING, "it differs", column="amount", measured=0.3)
    assert with_findings(check, [drift], config, TODAY).unused_waivers == ()
    assert "split.drift met no finding" in with_findings(check, [], config, TODAY).unused_waivers[0]
    wrong = Finding("split.new_label", ERROR, "a new class")
    assert (with_findings(check, [wrong], config, TODAY).task, check.task is None) == (None, False)


def test_a_waiver_of_no_check_is_refused():
    with pytest.raises(
        RequestInvalid, match=r"checks.accept.0.check: there is no check 'rows.duplicate', did you mean"
    ):
        check_frame(clean_table(200, 1), checks={"accept": [{"check": "rows.duplicate", "max": 1, "reason": "x"}]})


@pytest.mark.parametrize(("preset", "fires"), [("strict", True), ("default", False), ("lenient", False)])
def test_presets_move_thresholds(preset, fires):
    frame = null_where(clean_table(5_000, 1), "amount", clean_table(5_000, 1).index < 1_000)
    assert ("col.missing" in fired(check_frame(frame, checks={"preset": preset}))) is fires


def test_worse_data_trip_the_bound_of_few_rows_and_rare_classes():
    frame = clean_table(450, 1, "regression")
    few = only(check_frame(frame), "rows.too_few").amount
    fewer = only(check_frame(frame.head(300)), "rows.too_few").amount
    assert 0 < few < fewer < 1
