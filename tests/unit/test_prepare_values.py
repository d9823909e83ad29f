"""Every rule of `data.prepare` on Arrow tables: hard values, none at all, strange names."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest

from raysweep.config import DataConfig
from raysweep.errors import DataUnsuitable
from raysweep.prepare_rules import RuleState
from raysweep.records.table import FILE_OF_ROW
from raysweep.rows.canonical import INSTANT, TEXT, canonical_column
from raysweep.rows.prepare import apply_rules, apply_unfitted, find_unread, fit_rules
from raysweep.rows.prepare_columns import made_of, needed_for, prepared_columns, rule_problems
from raysweep.stages.profile.ray_unread import _merge

NAME = "prix <€> d'été.東京\n"
DAYS = [datetime(1969, 12, 31, 23, 59, 59, 999_999), datetime(2024, 2, 29, 13, 5, 7), None, datetime(1900, 1, 1)]  # noqa: DTZ001


def rules_of(*rules):
    documents = [{"columns": [NAME], **rule} for rule in rules]
    return DataConfig.model_validate({"source": "memory:", "prepare": documents}).prepare


def one_column(values, arrow_type):
    return pa.table({NAME: pa.array(values, arrow_type)})


def after(values, arrow_type, *rules):
    """The column after the rules, fitted on itself; the same in two chunks, and sliced out of a longer one."""
    table = one_column(values, arrow_type)
    rules = rules_of(*rules)
    states, prepared = fit_rules(table, rules)
    assert apply_rules(table, rules, states).equals(prepared)
    halves = pa.concat_tables([table.slice(0, len(values) // 2), table.slice(len(values) // 2)])
    assert apply_rules(halves, rules, states).equals(prepared)
    assert apply_rules(table.slice(1), rules, states).equals(prepared.slice(1))
    columns = prepared_columns([canonical_column(NAME, arrow_type)], rules)
    assert [(one.name, one.type) for one in columns] == [
        (field.name, {"large_string": str(arrow_type)}.get(str(field.type), str(field.type)))
        for field in prepared.schema
    ]
    return prepared


@pytest.mark.parametrize(
    ("values", "arrow_type", "unwanted", "expected"),
    [
        ([1, -999, None, 999], pa.int64(), [-999, "x"], [1, None, None, 999]),
        ([1.5, -999.0, None, float("inf")], pa.float64(), [-999, 1.5], [None, None, None, float("inf")]),
        ([float(np.float32(-99.9)), -99.9, -99.8, 0.0], pa.float64(), [-99.9, 0], [None, None, -99.8, None]),
        ([2**63 - 1, 5, 0, None], pa.int64(), [2**63 - 1], [None, 5, 0, None]),
        (["?", "", "??", None], TEXT, ["?", "", 3], [None, None, "??", None]),
        (["東京", "tokyo", "東", None], TEXT, ["東京"], [None, "tokyo", "東", None]),
        ([True, False, None, True], pa.bool_(), [True], [None, False, None, None]),
        (DAYS, INSTANT, ["1900-01-01", "2024-02-29T15:05:07+02:00"], [DAYS[0], None, None, None]),
    ],
)
def test_to_null(values, arrow_type, unwanted, expected):
    found = after(values, arrow_type, {"rule": "to_null", "values": unwanted})
    assert found.column(NAME).to_pylist() == expected


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"low": 0}, [0, 1, 2, 100, None, float("inf")]),
        ({"high": 1.5}, [-5, 1, 1.5, 1.5, None, 1.5]),
        ({"low_quantile": 0.25, "high_quantile": 0.5}, [-0.5, 1, 1.5, 1.5, None, 1.5]),
        ({"low": 0.5, "high_quantile": 0.5}, [0.5, 1, 1.5, 1.5, None, 1.5]),
    ],
)
def test_clip(bounds, expected):
    values = [-5, 1, 2, 100, None, float("inf")]
    assert after(values, pa.float64(), {"rule": "clip", **bounds}).column(NAME).to_pylist() == expected
    whole = [-5, 1, 2, 100, None]
    assert after(whole, pa.int64(), {"rule": "clip", **bounds}).column(NAME).to_pylist() == expected[:5]


@pytest.mark.parametrize(
    ("below", "expected"),
    [
        (1, ["a", "b", "c", "a", None, "b", "a"]),
        (2, ["a", "b", "(rare)", "a", None, "b", "a"]),
        (0.4, ["a", "(rare)", "(rare)", "a", None, "(rare)", "a"]),
        (8, ["(rare)", "(rare)", "(rare)", "(rare)", None, "(rare)", "(rare)"]),
    ],
)
def test_group_rare(below, expected):
    rule = {"rule": "group_rare", "below": below}
    table = one_column(["a", "b", "c", "a", None, "b", "a"], TEXT)
    assert after(table.column(NAME).to_pylist(), TEXT, rule).column(NAME).to_pylist() == expected
    states, _ = fit_rules(table, rules_of(rule))
    assert list(states[0].kept[NAME]) == sorted({value for value in expected if value not in {None, "(rare)"}})
    new = apply_rules(one_column(["z", None, "(rare)"], TEXT), rules_of({**rule, "into": "other"}), states)
    assert new.column(NAME).to_pylist() == ["other", None, "other"]


def test_date_parts():
    parts = ["year", "quarter", "month", "week", "day", "weekday", "day_of_year", "hour", "minute", "second", "days"]
    found = after(DAYS, INSTANT, {"rule": "date_parts", "parts": parts})
    assert found.column_names == [f"{NAME}.{part}" for part in parts]
    assert [list(row.values()) for row in found.to_pylist()] == [
        [1969, 4, 12, 1, 31, 2, 365, 23, 59, 59, -1],
        [2024, 1, 2, 9, 29, 3, 60, 13, 5, 7, 19_782],
        [None] * 11,
        [1900, 1, 1, 1, 1, 0, 1, 0, 0, 0, -25_567],
    ]


def test_to_date():
    values = ["29.02.2024 13:05", " 01.01.0001 00:00 ", "31.12.9999 23:59", "", "  ", None, "29.02.2024 13:05"]
    rule = {"rule": "to_date", "format": "%d.%m.%Y %H:%M"}
    leap = datetime(2024, 2, 29, 13, 5)  # noqa: DTZ001
    expected = [leap, datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59), None, None, None, leap]  # noqa: DTZ001
    assert after(values, TEXT, rule).column(NAME).to_pylist() == expected
    zoned = {"rule": "to_date", "format": "%Y-%m-%dT%H:%M%z"}
    assert after(["2024-02-29T15:05+0200", "2024-02-29T13:05Z"], TEXT, zoned).column(NAME).to_pylist() == [leap, leap]


@pytest.mark.parametrize(
    ("options", "values", "expected"),
    [
        (
            {},
            ["1", "-2.5", "+3", ".5", "5.", "1e3", " 7\u00a0", "", " ", None],
            [1, -2.5, 3, 0.5, 5, 1e3, 7, None, None, None],
        ),
        ({"thousands": ","}, ["1,234", "1234", "12,345,678.9", "-1,000"], [1234, 1234, 12_345_678.9, -1000]),
        ({"thousands": ".", "decimal": ","}, ["1.234,5", "0,25", ",5"], [1234.5, 0.25, 0.5]),
        ({"thousands": " ", "decimal": ","}, ["1 234,5", " 12 "], [1234.5, 12]),
        ({"thousands": "_"}, ["1_000"], [1000]),
        ({"strip": "$€% "}, ["$5", "5 €", "50%", "-$5", "$ -5", "% 7 $"], [5, 5, 50, -5, -5, 7]),
        ({"strip": "]^-\\["[:2] + "[\\"}, ["[5]", "^6\\"], [5, 6]),
    ],
)
def test_to_number(options, values, expected):
    assert after(values, TEXT, {"rule": "to_number", **options}).column(NAME).to_pylist() == expected


NO_NUMBERS = ["abc", "1,5", "nan", "inf", "0x10", "1_000", "--1", "1.2.3", "$", "٣", "1 2", "-", "12,34,567"]


def test_what_is_no_number_is_refused_or_becomes_null():
    table = one_column([*NO_NUMBERS, "1", None, "  "], TEXT)
    with pytest.raises(DataUnsuitable) as caught:
        fit_rules(table, rules_of({"rule": "to_number", "thousands": ","}))
    assert "to_number: 13 of 16 rows of the column" in str(caught.value)
    assert "cannot be read as numbers, such as '$'" in str(caught.value)
    assert (caught.value.findings[0].column, caught.value.findings[0].count) == (NAME, 13)
    _, found = fit_rules(table, rules_of({"rule": "to_number", "thousands": ",", "errors": "coerce"}))
    assert found.column(NAME).to_pylist() == [None] * 13 + [1.0, None, None]


def test_refusals_of_blocks_add_up():
    rules = rules_of({"rule": "to_number"})
    whole = one_column(["b", "1", "a", None, "c"], TEXT)
    blocks = [whole.slice(0, 2), whole.slice(2, 1), whole.slice(3)]
    parts = [one for block in blocks for one in find_unread(block, rules)]
    assert [(one.count, one.example) for one in parts] == [(1, "b"), (1, "a"), (1, "c")]
    assert _merge(parts) == _merge(reversed(parts)) == find_unread(whole, rules)
    assert [(one.count, one.example) for one in _merge(parts)] == [(3, "a")]


def test_what_is_no_date_is_refused_or_becomes_null():
    table = one_column(["2024-02-30", "2024-02-28", "28.02.2024", "2024-02-28 10:00", None], TEXT)
    rule = {"rule": "to_date", "format": "%Y-%m-%d"}
    with pytest.raises(
        DataUnsuitable, match=r"3 of 5 rows .* as dates of the format %Y-%m-%d, such as '2024-02-28 10:00'"
    ):
        fit_rules(table, rules_of(rule))
    _, found = fit_rules(table, rules_of({**rule, "errors": "coerce"}))
    assert found.column(NAME).to_pylist() == [None, datetime(2024, 2, 28), None, None, None]  # noqa: DTZ001


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["yes", "yes", "straße".casefold(), "a b", "", None]),
        ({"casefold": False}, ["Yes", "yes", "Straße", "a b", "", None]),
        ({"trim": False, "casefold": False}, ["Yes", "yes ", "Straße", "\u3000a b\n", " \t", None]),
        ({"collapse": False}, ["yes", "yes", "strasse", "a \t b", "", None]),
    ],
)
def test_normalize_text(options, expected):
    values = ["Yes", "yes ", "Straße", "\u3000a \t b\n", " \t", None]
    assert after(values, TEXT, {"rule": "normalize_text", **options}).column(NAME).to_pylist() == expected


def test_rules_are_applied_in_their_order():
    rules = (
        {"rule": "to_null", "values": ["?"]},
        {"rule": "to_number", "thousands": ","},
        {"rule": "to_null", "values": [-999]},
        {"rule": "clip", "high_quantile": 0.5},
    )
    found = after(["1,000", "?", "-999", "3"], TEXT, *rules)
    assert found.column(NAME).to_pylist() == [501.5, None, None, 3]
    dates = after(
        ["03.02.2024"], TEXT, {"rule": "to_date", "format": "%d.%m.%Y"}, {"rule": "date_parts", "parts": ["day"]}
    )
    assert dates.to_pydict() == {f"{NAME}.day": [3]}


EVERY_TEXT = (
    {"rule": "to_null", "values": ["a"]},
    {"rule": "normalize_text"},
    {"rule": "group_rare", "below": 0.5},
    {"rule": "to_number"},
    {"rule": "clip", "low_quantile": 0.1, "high": 3},
)


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_tables_without_rows_or_values(rows):
    assert after([None] * rows, TEXT, *EVERY_TEXT).column(NAME).to_pylist() == [None] * rows
    dates = ({"rule": "to_date", "format": "%Y"}, {"rule": "date_parts", "parts": ["days", "week"]})
    assert after([None] * rows, TEXT, *dates).num_rows == rows
    assert after([None] * rows, pa.float64(), {"rule": "to_null", "values": [1]}).num_rows == rows
    assert fit_rules(one_column([None] * rows, TEXT), rules_of({"rule": "drop"}))[1].num_columns == 0


def test_the_state_is_that_of_the_rows_it_was_fitted_on():
    rules = rules_of({"rule": "group_rare", "below": 2})
    training = one_column(["a", "a", "b"], TEXT)
    states, _ = fit_rules(training, rules)
    both, _ = fit_rules(pa.concat_tables([training, one_column(["b", "c", "c"], TEXT)]), rules)
    assert (states[0].kept[NAME], both[0].kept[NAME]) == (("a",), ("a", "b", "c"))


def test_what_learns_nothing_goes_without_a_state_and_leaves_other_columns():
    table = one_column(["a", "A ", "b"], TEXT).append_column(FILE_OF_ROW, pa.array([0, 0, 1]))
    rules = rules_of({"rule": "normalize_text"}, {"rule": "group_rare", "below": 2})
    assert apply_unfitted(table, rules).to_pydict() == {NAME: ["a", "a", "b"], FILE_OF_ROW: [0, 0, 1]}
    bounds = rules_of({"rule": "clip", "low": 2, "high_quantile": 0.5})
    assert apply_unfitted(one_column([1, 9], pa.int64()), bounds).column(NAME).to_pylist() == [2.0, 9.0]


def test_a_state_survives_json_exactly():
    table = one_column([0.1, 0.2, 0.7, None], pa.float64())
    rules = rules_of({"rule": "clip", "low_quantile": 0.3, "high_quantile": 0.9})
    states, prepared = fit_rules(table, rules)
    read = [RuleState.model_validate_json(state.model_dump_json(), strict=True) for state in states]
    assert apply_rules(table, rules, read).equals(prepared)


COLUMNS = tuple(
    canonical_column(name, kind)
    for name, kind in (
        ("day", INSTANT),
        ("n", pa.int64()),
        ("t", TEXT),
        ("day.month", TEXT),
        ("list", pa.list_(pa.int8())),
    )
)


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ([{"rule": "clip", "columns": ["m"], "low": 1}], "data.prepare[0]: there is no column 'm'"),
        ([{"rule": "clip", "columns": ["lisst"], "low": 1}], "there is no column 'lisst', did you mean 'list'?"),
        (
            [{"rule": "clip", "columns": ["t"], "low": 1}],
            "clip takes numbers, but 't' holds text: put a to_number rule",
        ),
        (
            [{"rule": "date_parts", "columns": ["t"], "parts": ["day"]}],
            "takes dates, but 't' holds text: put a to_date",
        ),
        (
            [{"rule": "date_parts", "columns": ["day"], "parts": ["year", "month"]}],
            "there is a column 'day.month' already",
        ),
        ([{"rule": "to_number", "columns": ["n"]}], "takes text, but 'n' holds numbers: the rule is not needed"),
        (
            [{"rule": "group_rare", "columns": ["n"], "below": 2}],
            "takes text, but 'n' holds numbers: mend it in the source",
        ),
        ([{"rule": "to_null", "columns": ["list"], "values": [1]}], "but 'list' holds lists or structs"),
        (
            [{"rule": "to_null", "columns": ["n"], "values": ["1"]}],
            "none of the values can stand in 'n', which holds numbers",
        ),
        ([{"rule": "to_null", "columns": ["day"], "values": ["1.1.1900"]}], "none of the values can stand in 'day'"),
        (
            [{"rule": "drop", "columns": ["n"]}, {"rule": "clip", "columns": ["n"], "low": 1}],
            "data.prepare[1]: the column 'n' is gone after drop in data.prepare[0]",
        ),
    ],
)
def test_rules_that_do_not_fit_the_table(rules, said):
    problems = rule_problems(COLUMNS, rules_of(*rules))
    assert len(problems) == 1
    assert said in problems[0]


def test_columns_know_where_they_come_from():
    rules = rules_of(
        {"rule": "to_date", "columns": ["t"], "format": "%Y"},
        {"rule": "date_parts", "columns": ["t", "day"], "parts": ["year"]},
        {"rule": "clip", "columns": ["n", "t.year"], "low": 1},
        {"rule": "drop", "columns": ["list"]},
    )
    assert rule_problems(COLUMNS, rules) == []
    after_rules = prepared_columns(COLUMNS, rules)
    assert [column.name for column in after_rules] == ["day.year", "n", "t.year", "day.month"]
    assert made_of(COLUMNS, rules) == {"day.year": "day", "n": "n", "t.year": "t", "day.month": "day.month"}
    inputs, narrowed = needed_for([after_rules[2], after_rules[3]], COLUMNS, rules)
    assert [column.name for column in inputs] == ["t", "day.month"]
    assert [(rule.rule, rule.columns) for rule in narrowed] == [
        ("to_date", ("t",)), ("date_parts", ("t",)), ("clip", ("t.year",)),
    ]  # fmt: skip
