"""What the gate proposes can stand in a sweep file as it is printed, all of it at once."""

from __future__ import annotations

import numpy as np
import pandas as pd

from builders import clean_table
from planted_faults import check_frame, fired
from raysweep.config import load_config
from raysweep.documents import read_yaml


def faulty() -> pd.DataFrame:
    frame = clean_table(3_000, 1).drop(columns="joined")
    rng = np.random.default_rng(0)
    return frame.assign(
        age=frame["age"].mask(rng.random(len(frame)) < 0.01, -999),
        copy=frame["target"],
        twice=frame["city"],
        customer_id=rng.integers(0, 300, len(frame)),
    )


def test_all_lines_together_are_a_sweep_that_mends_what_they_are_about():
    check = check_frame(faulty())
    assert {"leak.copy", "col.duplicate", "col.sentinel"} <= set(fired(check))
    lines = [one.line for one in check.proposals]
    config = load_config(
        {"version": 1, "data": {"source": "a.csv", "target": "target"}, **read_yaml("\n".join(lines), place="here")}
    )
    assert config.data.group == "customer_id"
    assert config.data.features.exclude == ("copy", "twice")
    excluded = check_frame(faulty(), features={"exclude": ["copy", "twice"]}, group="customer_id")
    assert not {"leak.copy", "col.duplicate"} & set(fired(excluded))
    assert not [one for one in excluded.proposals if one.line.startswith(("data.features", "data.group"))]


def test_a_date_proposes_the_split_by_time():
    lines = [one.line for one in check_frame(clean_table(500, 1)).proposals]
    assert lines == ["data.time: joined", "split.kind: time"]
    assert read_yaml("\n".join(lines), place="here") == {"data.time": "joined", "split.kind": "time"}


def test_without_a_target_no_split_is_proposed():
    assert check_frame(clean_table(500, 1), target=None).proposals == ()


def test_rules_are_proposed_in_the_order_in_which_they_work():
    frame = clean_table(3_000, 1)
    rng = np.random.default_rng(0)
    huge = frame["amount"].mask(frame.index < 3, 1e39)
    sizes = rng.choice(["10", "20", "Unknown", "unknown "], len(frame))
    check = check_frame(frame.assign(huge=huge, age=frame["age"].mask(frame.index < 20, -999), sizes=sizes))
    [line] = [one.line for one in check.proposals if one.line.startswith("data.prepare")]
    rules = [rule["rule"] for rule in read_yaml(line, place="here")["data.prepare"]]
    assert rules == sorted(rules, key=["to_null", "normalize_text", "to_number", "clip"].index)
    assert set(rules) == {"to_null", "normalize_text", "to_number", "clip"}


def test_what_orders_the_rows_is_not_proposed_to_be_prepared():
    frame = clean_table(3_000, 1)
    odd = frame.assign(joined=frame["joined"].mask(frame.index < 40, pd.Timestamp("1900-01-01")))
    check = check_frame(odd, time="joined", split={"kind": "time"})
    assert "col.sentinel" in fired(check)
    assert [one for one in check.proposals if "joined" in one.line] == []
