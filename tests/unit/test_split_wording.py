"""The report and the model card tell how the rows were cut: when, by what, and what each part holds."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from raysweep.records.split_rule import AFTER_ITS_PART, EMBARGOED, WITHOUT_TARGET, SplitRule
from raysweep.records.table import Part, PartSummary, Split
from raysweep.report.html_report import html_report
from raysweep.report.model_card import model_card
from raysweep.report.split_wording import split_facts, split_table
from raysweep.split_rules import PartsConfig
from record_builders import HOSTILE, make_view

DATES = ("2021-01-05T00:00:00", "2021-06-30T12:30:00", "2021-08-01T00:00:00", "2021-12-31T00:00:00")
RULE = SplitRule(
    *("group+time", 7, ("person",), PartsConfig(), "person", "joined"),
    embargo="7d",
    cuts=("2021-07-01T00:00:00", "2022-01-01T00:00:00"),
)
PARTS = {
    Part.TRAINING: PartSummary(600, "a" * 64, (450, 150), DATES[0], DATES[1], 61),
    Part.TESTING: PartSummary(1_200, "b" * 64, (1_199, 1), DATES[2], DATES[3], 42),
    Part.VALIDATION: PartSummary(200, "c" * 64, (0, 200), None, None, 17),
}
LEFT_OUT = {WITHOUT_TARGET: 3, EMBARGOED: 1_044, AFTER_ITS_PART: 0}
SPLIT = Split("group+time", 7, ("person",), PARTS, 1, 0, 3, search_data=None, rule=RULE, left_out=LEFT_OUT)


def unescaped(document: str) -> str:
    return re.sub(r"<[^>]*>", " ", document).replace("\\", "").replace("&lt;", "<").replace("&gt;", ">")


@pytest.mark.parametrize("build", [html_report, model_card])
@pytest.mark.parametrize(
    "said",
    [
        *("2021-01-05", "2021-06-30T12:30:00", "2021-12-31", "False: 450 (75 %), city: 150 (25 %)", "1,200"),
        *("2021-07-01, 2022-01-01", "7d", "1,044", "61", "city: 1 (< 0.1 %)", "city: 200 (100 %)", "c" * 64),
        *("first time", "groups", "person", "joined", "0 row keys stand in more than one part"),
    ],
)
def test_every_fact_of_the_split_is_shown(build, said):
    assert said in unescaped(build(make_view(split=SPLIT)))


def test_a_reason_without_rows_and_an_empty_column_are_left_out():
    assert AFTER_ITS_PART not in html_report(make_view(split=SPLIT))
    head, rows = split_table(replace(SPLIT, parts={part: PartSummary(5, "d") for part in Part}), ())
    assert head == ("part", "rows", "digest")
    assert rows == [(part.value, "5", "d") for part in Part]


def test_numbers_many_classes_and_many_keys_stay_short():
    years = {Part.TRAINING: PartSummary(50, "d", tuple([1] * 50), 2019.0, 2020.5)}
    rule = replace(RULE, cuts=(2021.0, 2022.0), embargo=1.0)
    split = replace(SPLIT, parts=years, rule=rule, key=tuple(f"k{place}" for place in range(50)))
    _, ((_, _, classes, first, last, _),) = split_table(split, [str(place) for place in range(50)])
    assert classes.endswith("9: 1 (2 %), 40 more in data/split.json")
    assert (first, last) == ("2019", "2020.5")
    facts = dict(split_facts(split))
    assert facts["testing and validation begin"] == "2021, 2022"
    assert facts["embargo before each"] == "1"
    assert facts["row key"].endswith("k19, 30 more in data/split.json")


def test_an_older_split_says_what_it_knows():
    facts = dict(split_facts(replace(SPLIT, rule=None, left_out={})))
    assert facts["rows without a target"] == "3"
    assert "embargo before each" not in facts


@pytest.mark.parametrize("name", HOSTILE)
def test_names_and_labels_become_no_markup(name):
    rule = replace(RULE, group=name, time=name, column=name)
    usual, hostile = (make_view(("age", one), split=replace(SPLIT, rule=rule)) for one in ("city", name))
    assert html_report(hostile).count("<td") == html_report(usual).count("<td")
    assert model_card(hostile).count("\n") == model_card(usual).count("\n")
