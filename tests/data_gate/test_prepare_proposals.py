"""What a check proposes for `data.prepare` is a rule that the sweep file takes, and it mends what the check found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from builders import arrow_of, check_means, clean_table, request_of, sweep_config, table_of
from planted_faults import FAULTS, check_frame, fired
from raysweep.documents import read_yaml
from raysweep.rows.canonical import placed
from raysweep.rows.prepare_columns import prepared_columns
from raysweep.stages.profile.statistics import block_statistics
from raysweep.stages.profile.summary import summarize
from raysweep.stages.validate.gate import validate_table

MENDED = {
    "-999 for missing": "to_null",
    "9999 among floats": "to_null",
    "1900-01-01 for missing": "to_null",
    "a spike far away": "to_null",
    "far outliers": "clip",
    "beyond float32": "clip",
    "many categories": "group_rare",
    "numbers as text": "to_number",
    "spellings": "normalize_text",
    "dates as text": "to_date",
}


def planted(name):
    fault = FAULTS[name]
    return fault.plant(clean_table(fault.rows, seed=11, task=fault.task), np.random.default_rng(12))


def check_prepared(frame, prepare):
    """What the gate says of a frame that is prepared by these rules."""
    config = sweep_config(prepare=prepare)
    arrow, columns = arrow_of(frame)
    request = replace(request_of(frame), prepare=config.data.prepare)
    after = prepared_columns(columns, config.data.prepare)
    profile = summarize(block_statistics(placed(arrow, -1, 0), request), after, request)
    return validate_table(table_of(frame), profile, config, check_means(profile))


def proposed(frame):
    lines = [proposal.line for proposal in check_frame(frame).proposals if proposal.line.startswith("data.prepare: ")]
    return [rule for line in lines for rule in read_yaml(line.removeprefix("data."), place="a proposal")["prepare"]]


@pytest.mark.parametrize("name", MENDED)
def test_the_proposed_rule_mends_the_fault(name):
    frame = planted(name)
    rules = proposed(frame)
    assert rules[0]["rule"] == MENDED[name]
    assert fired(check_frame(frame)) != {}
    assert fired(check_prepared(frame, rules)) == {}


def test_words_among_numbers_become_missing_which_is_said():
    frame = planted("numbers and words")
    assert proposed(frame) == [{"rule": "to_number", "columns": ["x"], "errors": "coerce"}]
    assert set(fired(check_prepared(frame, proposed(frame)))) == {"col.missing"}


@pytest.mark.parametrize("quantiles", [{"high_quantile": 0.99}, {"low_quantile": 0.01, "high_quantile": 0.99}])
def test_a_quantile_is_no_outlier_any_more(quantiles):
    frame = planted("far outliers")
    assert set(fired(check_frame(frame))) == {"col.outliers"}
    rule = {"rule": "clip", "columns": ["amount"], **quantiles}
    assert fired(check_prepared(frame, [rule])) == {}
