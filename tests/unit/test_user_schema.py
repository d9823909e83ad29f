"""A schema of the user's own: what is refused and why, and that counts are pandera's own."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from builders import arrow_of, clean_table, table_of
from raysweep.config import load_config
from raysweep.errors import NotFound, RequestInvalid
from raysweep.records.table import Severity
from raysweep.rows.canonical import placed
from raysweep.stages.validate.user_schema import read_user_schema, require_pandera
from raysweep.stages.validate.user_schema_counts import block_counter, merge_counts, plan_columns
from raysweep.stages.validate.user_schema_findings import schema_findings

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(scope="module", autouse=True)
def _pandera_is_there() -> None:
    """Imported as raysweep does, which leaves the environment as it was."""
    require_pandera()


def config_with(path: Path, **checks):
    checks = {"schema": str(path), **checks}
    return load_config({"version": 1, "data": {"source": "memory:test", "target": "target"}, "checks": checks})


def read(tmp_path: Path, text: str):
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    return read_user_schema(config_with(path))


def found_in(frame: pd.DataFrame, path: Path, *, cuts: int = 1, **checks):
    config = config_with(path, **checks)
    schema, table = read_user_schema(config), table_of(frame)
    arrow = placed(arrow_of(frame)[0], -1, 0)
    counter = block_counter(plan_columns(schema, table))
    size = max(1, -(-arrow.num_rows // cuts))
    parts = [counter.count(arrow.slice(start, size)) for start in range(0, max(1, arrow.num_rows), size)]
    return schema_findings(schema, table, merge_counts(parts[::-1]), config.checks)


def found(tmp_path: Path, text: str, frame: pd.DataFrame | None = None, **checks):
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    return found_in(clean_table(1_000, seed=0) if frame is None else frame, path, **checks)


REFUSED = {
    "columns: {a: {unique: true}}": "columns.a.unique: is refused: it takes all rows at once, and the table is",
    "unique: [a, b]\ncolumns: {a: }": "unique: is refused: it takes all rows at once, and the table",
    "columns: {a: }\nindex: [{dtype: int64}]": "index: is refused: a table has no index here",
    "columns: {a: }\nmultiindex: {unique: [a]}": "multiindex: is refused: a table has no index here",
    "columns: {a: {coerce: true}}": "columns.a.coerce: is refused: a check changes no values; prepare columns with",
    "coerce: true\ncolumns: {a: }": "coerce: is refused: a check changes no values",
    "columns: {a: {default: 0}}": "columns.a.default: is refused: a check changes no values",
    "columns: {a: {parsers: [strip]}}": "columns.a.parsers: is refused: a check changes no values",
    "columns: {a: {drop_invalid_rows: true}}": "columns.a.drop_invalid_rows: is refused: a check drops no rows",
    "drop_invalid_rows: true\ncolumns: {a: }": "drop_invalid_rows: is refused: a check drops no rows",
    "add_missing_columns: true\ncolumns: {a: }": "add_missing_columns: is refused: a check changes no values",
    "strict: filter\ncolumns: {a: }": "strict: filter would drop columns; write true, or leave columns out",
    "strict: 1\ncolumns: {a: }": "strict: must be true or false, not 1",
    "strict: maybe\ncolumns: {a: }": "strict: must be true or false, not 'maybe'",
    "ordered: true\ncolumns: {a: }": "ordered: is refused: the order of columns means nothing here",
    "dtype: float64\ncolumns: {a: }": "dtype: is refused: write a dtype below each column",
    "checks: {greater_than: 0}\ncolumns: {a: }": "checks: is refused: a check of the whole table may compare rows",
    "schema_type: model\ncolumns: {a: }": "schema_type: must be dataframe, not 'model'",
    "colums: {a: }": "colums: unknown key, did you mean 'columns'?",
    "columns: {}": "columns: must hold at least one column",
    "columns: {1: {dtype: int64}}": "columns: a name must be a text, not 1: put quotes round it",
    "columns: [{name: a}, {name: a}]": "columns.a: stands here twice",
    "columns: {a: [1]}": "columns.a: must hold keys and values, not [1]",
    "columns: {'a.*': {regex: true}}": "columns.a.*.regex: is refused: write each column by its full name",
    "columns: {a: {dtype: flaot64}}": "columns.a.dtype: pandera knows no type 'flaot64'",
    "columns: {a: {dtype: category}}": "columns.a.dtype: category is refused: write int64, float64, bool, str or",
    "columns: {a: {nullable: sometimes}}": "columns.a.nullable: must be true or false, not 'sometimes'",
    "columns: {a: {unique_values_eq: [1]}}": "columns.a.unique_values_eq: is refused: it takes the whole column",
    "columns: {a: {checks: {one_sample_ttest: {popmean: 0}}}}": "columns.a.one_sample_ttest: is refused: it takes the",
    "columns: {a: {my_check: 1}}": "columns.a.my_check: is none of pandera's checks of single values, and a config",
    "columns: {a: {from_builtin_check_name: eq}}": "columns.a.from_builtin_check_name: is none of pandera's checks of",
    "columns: {a: {__init__: os.system}}": "columns.a.__init__: is none of pandera's checks of single values",
    "columns: {a: {greter_than: 1}}": "brings no code of its own, did you mean 'greater_than'?",
    "columns: {a: {gt: 0, checks: {lt: 1}}}": "columns.a: pandera passes over gt where there are `checks`",
    "columns: {a: {checks: 3}}": "columns.a.checks: must be a mapping such as `greater_than: 0`, or a list, not 3",
    "columns: {a: {checks: [{value: 3}]}}": "columns.a.checks[0]: must be as `{value: 0, options: {check_name:",
    "columns: {a: {gt: {minimum: 3}}}": "columns.a.gt.minimum: unknown",
    "columns: {a: {in_range: {min_value: 3}}}": "columns.a.in_range: needs max_value",
    "columns: {a: {in_range: {min_value: 3, max_value: 1}}}": "columns.a.in_range: pandera cannot use in_range(3, 1)",
    "columns: {a: {in_range: {min_value: 1, max_value: 2, include_min: 1}}}": "include_min must be true or false",
    "columns: {a: {str_length: {}}}": "columns.a.str_length: needs min_value, max_value or exact_value",
    "columns: {a: {isin: abc}}": "columns.a.isin: allowed_values must be a list of plain values, not 'abc'",
    "columns: {a: {isin: [[1]]}}": "columns.a.isin: allowed_values must be a list of plain values, not [[1]]",
    "columns: {a: {isin: [1, b]}}": "columns.a.isin: isin(1, b) compares with values of no one kind; write text",
    "columns: {a: {dtype: str, isin: [yes, no]}}": "isin(True, False) is no rule for a column of kind string",
    "columns: {a: {dtype: int64, ge: '3'}}": "greater_than_or_equal_to(3) is no rule for a column of kind number",
    "columns: {a: {dtype: float64, str_matches: a}}": "str_matches(a) is no rule for a column of kind number",
    "columns: {a: {dtype: 'datetime64[ns]', ge: tomorrow}}": "greater_than_or_equal_to(tomorrow) is no rule for",
    "columns: {a: {str_matches: '('}}": "columns.a.str_matches: pandera cannot use str_matches((): ",
    "columns: {a: {gt: {value: 0, options: {ignore_na: false}}}}": "columns.a.gt.ignore_na: is refused: whether values",
    "columns: {a: {gt: {value: 0, options: {raise_warning: true}}}}": "is refused: write checks.set: {schema.rule:",
    "columns: {a: {gt: {value: 0, options: {groupby: b}}}}": "columns.a.gt.groupby: is refused: groups take all",
    "columns: {a: {gt: {value: 0, options: {_check_fn: os}}}}": "columns.a.gt._check_fn: unknown",
    "columns: {a: {eq: !!python/object/apply:os.system [ls]}}": "is not valid YAML: could not determine a constructor",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_block_wise_is_refused_with_its_reason(tmp_path: Path, text: str):
    with pytest.raises(RequestInvalid) as refused:
        read(tmp_path, text)
    assert REFUSED[text] in str(refused.value)
    assert str(tmp_path / "rules.yaml") in str(refused.value)


def test_every_problem_is_named_at_once(tmp_path: Path):
    with pytest.raises(RequestInvalid) as refused:
        read(tmp_path, "coerce: true\ncolumns: {a: {unique: true, gt: [1]}, b: {dtype: foo}}")
    assert len(refused.value.problems) == 4


def test_no_schema_costs_no_import(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pandera", None)
    assert read_user_schema(load_config({"version": 1, "data": {"source": "memory:test"}})) is None


def test_without_pandera_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pandera.io.pandas_io", None)
    with pytest.raises(RequestInvalid, match=r"pip install 'raysweep\[pandera\]'"):
        read(tmp_path, "columns: {a: {gt: 0}}")
    with pytest.raises(RequestInvalid, match="which is not installed on "):
        block_counter(())  # as a worker of a cluster does


def test_an_absent_file_is_named(tmp_path: Path):
    (tmp_path / "rules.yaml").touch()
    with pytest.raises(NotFound, match=r"there is no file .*rulse.yaml, did you mean 'rules.yaml'\?"):
        read_user_schema(config_with(tmp_path / "rulse.yaml"))


@pytest.mark.parametrize(
    "column",
    [
        "{in_range: {min_value: 30, max_value: 60}}",
        "{between: {min_value: 30, max_value: 60, include_min: true}}",
        "{checks: {in_range: {min_value: 30, max_value: 60}}}",
        "{checks: [{min_value: 30, max_value: 60, options: {check_name: in_range, ignore_na: true, error: far off}}]}",
    ],
)
def test_each_form_that_pandera_reads(tmp_path: Path, column: str):
    frame = clean_table(1_000, seed=0)
    broken = int((~frame["age"].between(30, 60)).sum())
    assert [one.count for one in found(tmp_path, f"columns: {{age: {column}}}", frame)] == [broken]
    assert [one.count for one in found(tmp_path, f"columns: [{{name: age, {column[1:]}]", frame)] == [broken]


def test_what_pandera_writes_is_read_back(tmp_path: Path):
    import pandera.pandas as pandera
    from pandera.io import pandas_io

    checks = [pandera.Check.ge(20), pandera.Check.in_range(18, 70, include_max=False), pandera.Check.notin([30, 31])]
    schema = pandera.DataFrameSchema(
        {
            "age": pandera.Column("int64", checks),
            "city": pandera.Column("str", pandera.Check.str_length(1, 5), nullable=True),
            "joined": pandera.Column("datetime64[ns]", pandera.Check.gt(pd.Timestamp("2020-02-01"))),
        }
    )
    frame = clean_table(1_000, seed=0)
    expected = [
        int((frame["age"] < 20).sum()),
        int((frame["age"] >= 70).sum()),
        int(frame["age"].isin([30, 31]).sum()),
        int((frame["city"].str.len() > 5).sum()),
        int((frame["joined"] <= "2020-02-01").sum()),
    ]
    for minimal in (True, False):
        text = pandas_io.to_yaml(schema, minimal=minimal)
        assert [one.count for one in found(tmp_path, text, frame)] == expected


MANY_RULES = """
columns:
  amount: {ge: 60, lt: 150, in_range: {min_value: 55.5, max_value: 160, include_max: false}}
  age: {dtype: int64, ne: 33, notin: [18, 79], isin: [20, 30, 40, 50]}
  balance: {dtype: float64, le: 100}
  city: {dtype: str, isin: [Aachen, "Cádiz"], str_length: {max_value: 5}, str_startswith: A, str_endswith: n}
  plan: {dtype: str, str_matches: "^p.*o$", str_contains: "(?=l)l"}
  member: {dtype: bool, eq: true}
"""


def test_counts_are_those_of_pandera_itself(tmp_path: Path):
    import pandera.errors
    from pandera.io import pandas_io

    frame = clean_table(2_000, seed=4)
    with pytest.raises(pandera.errors.SchemaErrors) as broken:
        pandas_io.from_yaml(MANY_RULES).validate(frame, lazy=True)
    cases = broken.value.failure_cases
    expected = sorted(cases.groupby(["column", "check"]).size().tolist())
    findings = found(tmp_path, MANY_RULES, frame)
    assert sorted(one.count for one in findings) == expected
    assert len(findings) == 16


def test_findings_do_not_depend_on_blocks(tmp_path: Path):
    path = tmp_path / "rules.yaml"
    path.write_text(MANY_RULES)
    frame = clean_table(400, seed=4)
    whole = found_in(frame, path)
    assert len(whole) == 16
    assert whole == found_in(frame, path, cuts=7) == found_in(frame, path, cuts=100)


def test_a_finding_says_how_many_which_and_where(tmp_path: Path):
    frame = clean_table(1_000, seed=0)
    frame.loc[[4, 11, 40, 41, 42, 900], "amount"] = [-1.0, -2.0, -1.0, -3.0, -4.0, -5.0]
    (one,) = found(tmp_path, "columns: {amount: {dtype: float64, ge: 0}}", frame)
    assert (one.check, one.severity, one.column) == ("schema.rule", Severity.ERROR, "amount")
    assert one.message == "amount breaks greater_than_or_equal_to(0) in 6 of 1,000 rows"
    assert one.advice == f"mend the source, or the rule in {tmp_path / 'rules.yaml'}"
    assert (one.count, one.share, one.threshold) == (6, 0.006, 0)
    assert one.examples == ("-1.0", "-2.0", "-3.0", "-4.0")
    assert one.places == ("row 5", "row 12", "row 41", "row 42", "row 43")


def test_thresholds_say_how_bad_a_share_is(tmp_path: Path):
    frame = clean_table(1_000, seed=0)
    frame.loc[:9, "amount"] = -1.0
    text = "columns: {amount: {ge: 0}}"
    (warned,) = found(tmp_path, text, frame, set={"schema.rule": {"error": 0.01}})
    assert (warned.severity, warned.threshold) == (Severity.WARNING, 0)
    assert found(tmp_path, text, frame, set={"schema.rule": {"error": 0.01, "warn": 0.01}}) == []


def test_missing_values_are_a_matter_of_nullable_alone(tmp_path: Path):
    frame = clean_table(1_000, seed=0)
    missing = int(frame["plan"].isna().sum())
    rule = "isin: [basic, plus, pro]"
    (one,) = found(tmp_path, f"columns: {{plan: {{{rule}}}}}", frame)
    assert one.message == f"plan is not nullable, but missing in {missing} of 1,000 rows"
    assert "nullable: true" in one.advice
    assert (len(one.places), one.examples) == (5, ())
    assert found(tmp_path, f"columns: {{plan: {{nullable: true, {rule}}}}}", frame) == []


def test_a_type_is_held_against_the_kind_of_the_values(tmp_path: Path):
    (one,) = found(tmp_path, "columns: {city: {dtype: float64}}")
    assert (one.check, one.severity, one.count) == ("schema.mismatch", Severity.ERROR, 1_000)
    assert one.message == "city holds values of kind string (in 1,000 of 1,000 rows), but the schema says float64"
    (other,) = found(tmp_path, "columns: {city: {ge: 3}}")
    assert other.message.endswith("but greater_than_or_equal_to(3) is no rule for that")


def test_whole_numbers_may_be_stored_as_floats(tmp_path: Path):
    frame = clean_table(100, seed=0).assign(visits=lambda all_: all_["visits"].astype(float).mask(all_.index == 3))
    text = "columns: {visits: {dtype: int64, nullable: true}, age: {dtype: float64}}"
    assert found(tmp_path, text, frame) == []
    frame.loc[[5, 6], "visits"] = [2.5, np.inf]
    (one,) = found(tmp_path, text, frame)
    assert one.message == "visits is no whole number, as int64 asks for, in 2 of 100 rows"
    assert one.examples == ("2.5", "inf")


def test_long_rules_that_begin_alike_are_two(tmp_path: Path):
    names = [f"a name of many letters {number}" for number in range(20)]
    both = [{"allowed_values": [*names, last], "options": {"check_name": "isin"}} for last in ("Faro", "Bonn")]
    findings = found(tmp_path, yaml.safe_dump({"columns": {"city": {"checks": both}}}))
    counts = clean_table(1_000, seed=0)["city"].value_counts()
    assert [one.count for one in findings] == [1_000 - counts["Faro"], 1_000 - counts["Bonn"]]
    assert all(len(one.message) < 200 for one in findings)


def test_an_empty_column_is_of_every_kind(tmp_path: Path):
    frame = clean_table(100, seed=0).assign(nothing=np.nan)
    assert found(tmp_path, "columns: {nothing: {dtype: str, nullable: true, eq: a}}", frame) == []
    assert found(tmp_path, "columns: {city: {dtype: str, eq: a}}", frame.head(0)) == []


def test_absent_and_unknown_columns(tmp_path: Path):
    frame = clean_table(100, seed=0)[["city", "age", "plan", "target"]]
    text = "strict: true\ncolumns: {citty: {dtype: str}, age: , gone: {required: false}}"
    absent, unknown = found(tmp_path, text, frame.fillna({"plan": "pro"}))
    assert (absent.check, absent.column, absent.severity) == ("schema.missing_column", "citty", Severity.ERROR)
    assert absent.message == "there is no column 'citty', which the schema requires, did you mean 'city'?"
    assert (unknown.check, unknown.count) == ("schema.mismatch", 3)
    assert unknown.message == "the table has 3 columns that the strict schema does not name: city, plan, target"


def test_large_whole_numbers_keep_every_digit(tmp_path: Path):
    frame = pd.DataFrame({"id": pd.array([2**53 + 1, None, 2**53], dtype="Int64"), "target": [0, 1, 0]})
    (one,) = found(tmp_path, f"columns: {{id: {{nullable: true, ne: {2**53 + 1}}}}}", frame)
    assert (one.count, one.places, one.examples) == (1, ("row 1",), (str(2**53 + 1),))


def test_the_schema_in_the_readme_is_true(tmp_path: Path):
    section = README.read_text(encoding="utf-8").partition("## Your own rules")[2].partition("\n## ")[0]
    text = re.findall(r"```yaml\n(.*?)```", section, flags=re.DOTALL)[-1]
    columns = yaml.safe_load(text)["columns"]
    schema = read(tmp_path, text)
    assert [column.name for column in schema.columns] == list(columns)
    assert all(column.rules or column.kind for column in schema.columns)
