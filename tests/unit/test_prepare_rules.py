"""The rules of `data.prepare` as the sweep file has them: one line each, every mistake named."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from raysweep.config import load_config
from raysweep.documents import read_yaml, to_yaml
from raysweep.errors import RequestInvalid
from raysweep.prepare_rules import PreparationDocument, Rule, rule_documents, rule_line

RULES = """
- {rule: to_null, columns: [age], values: [-999, "?", 1900-01-01, 2.5, true]}
- {rule: clip, columns: [fare], low: 0, high_quantile: 0.99}
- {rule: drop, columns: [id, "with, comma"]}
- {rule: group_rare, columns: [city], below: 20}
- {rule: group_rare, columns: [shop], below: 0.01, into: other}
- {rule: date_parts, columns: [joined], parts: [year, month, weekday, days]}
- {rule: to_date, columns: [seen], format: "%d.%m.%Y"}
- {rule: to_number, columns: [price], thousands: ",", decimal: ".", strip: "$€% ", errors: coerce}
- {rule: normalize_text, columns: [plan], casefold: false}
"""


def sweep_with(text, **data):
    prepare = read_yaml(f"prepare: {text}", place="here")["prepare"]
    return load_config({"version": 1, "data": {"source": "memory:x", "target": "y", "prepare": prepare, **data}})


def test_every_rule_reads_from_yaml_and_comes_back_from_the_resolved_sweep():
    config = sweep_with(RULES)
    assert [rule.rule for rule in config.data.prepare] == [
        *("to_null", "clip", "drop", "group_rare", "group_rare"),
        *("date_parts", "to_date", "to_number", "normalize_text"),
    ]
    assert config.data.prepare[0].values == (-999, "?", "1900-01-01", 2.5, True)
    assert load_config(read_yaml(to_yaml(config), place="here")) == config


def test_the_readme_shows_every_rule():
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    section = text[text.index("## Preparing columns") :]
    block = section.split("```yaml")[1].split("```")[0]
    keys = read_yaml(block, place="README")
    config = load_config({"version": 1, "data": {"source": "memory:x", **keys["data"]}})
    assert {rule.rule for rule in config.data.prepare} == {
        get_args(kind.model_fields["rule"].annotation)[0] for kind in get_args(Rule)
    }


def test_a_rule_on_one_line():
    shown = [rule_line(rule) for rule in sweep_with(RULES).data.prepare]
    assert shown[1] == "clip (low 0.0, high_quantile 0.99): fare"
    assert shown[2] == "drop: id, with, comma"
    assert rule_documents(sweep_with(RULES).data.prepare)[3] == {"rule": "group_rare", "columns": ["city"], "below": 20}


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("{rule: clipp, columns: [a]}", "data.prepare[0].rule: there is no 'clipp', did you mean 'clip'?"),
        ("{rule: null, columns: [a]}", "data.prepare[0].rule: there is no 'None' (known: to_null, clip, drop,"),
        ("{columns: [a]}", "data.prepare[0].rule: is missing (known: to_null, clip"),
        ("{rule: clip, columns: [a], hgih: 3}", "data.prepare[0].hgih: unknown key, did you mean 'high'?"),
        ("{rule: clip, columns: [a], values: 3}", "unknown key (known: rule, columns, low, high, low_quantile, high_"),
        ("{rule: clip, columns: [a], high: x}", "data.prepare[0].high: input should be a valid number"),
        ("{rule: clip, columns: [a]}", "data.prepare[0]: clip needs a bound"),
        ("{rule: clip, columns: [a], low: 3, high: 2}", "the lower bound 3 is not below the upper one, 2"),
        ("{rule: clip, columns: [a], low: 3, low_quantile: 0.1}", "either low or low_quantile, not both"),
        ("{rule: clip, columns: [a], high_quantile: 1.0}", "high_quantile: input should be less than 1"),
        ("{rule: drop, columns: []}", "data.prepare[0].columns: tuple should have at least 1 item"),
        ("{rule: drop, columns: [a, a]}", "the column 'a' stands here twice"),
        ("{rule: drop}", "data.prepare[0].columns: is missing"),
        ("{rule: group_rare, columns: [a], below: 1.5}", "data.prepare[0].below"),
        ("{rule: date_parts, columns: [a], parts: [yaer, day]}", "did you mean 'year'?"),
        ("{rule: date_parts, columns: [a], parts: [day, day]}", "a part stands here twice"),
        ("{rule: to_date, columns: [a], format: '%Q'}", "data.prepare[0].format: '%Q' cannot be read as a format"),
        ("{rule: to_date, columns: [a], format: 'Y-m-d'}", "holds no directive such as %Y-%m-%d"),
        ("{rule: to_number, columns: [a], decimal: ',', thousands: ','}", "the same character, ','"),
        ("{rule: to_number, columns: [a], strip: '$0'}", "strip holds '0', which is part of a number itself"),
        ("{rule: to_number, columns: [a], errors: null}", "input should be 'raise' or 'coerce', not null"),
        ("{rule: normalize_text, columns: [a], trim: false, collapse: false, casefold: false}", "does nothing without"),
        ("{rule: to_null, columns: [y], values: [1]}", "prepare[0] changes the target 'y'"),
        ("{rule: drop, columns: [w]}", "prepare[0] changes the weight 'w': it is no feature"),
    ],
)
def test_a_wrong_rule_is_refused(rule, said):
    with pytest.raises(RequestInvalid) as caught:
        sweep_with(f"[{rule}]", weight="w")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ([], "1 rules have 0 states"),
        ([{}], "the state of clip does not fit its columns"),
        ([{"bounds": {"b": [0, 1]}}], "the state of clip does not fit"),
        ([{"bounds": {"a": [0, "x"]}}], "states"),
    ],
)
def test_a_state_that_is_not_the_rules_is_refused(states, said):
    rule = {"rule": "clip", "columns": ["a"], "low_quantile": 0.1}
    with pytest.raises(ValueError, match=said):
        PreparationDocument.model_validate({"schema_version": 1, "rules": [rule], "states": states})
