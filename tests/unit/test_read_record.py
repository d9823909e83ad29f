"""A published record is read back as it was, an older one too, and one that is spoilt is refused with its place."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import pytest

from check_builders import NAN, make_full_check, make_full_regression_check, without_numbers
from raysweep.cli.published import read_final_check
from raysweep.documents import plain_record, read_record, readable_json
from raysweep.errors import BundleRefused
from raysweep.records.final_check import FinalCheck, Verdict
from raysweep.records.model_facts import Estimate, WhyNot
from raysweep.records.published_check import final_check_document
from record_builders import make_final_check


class Size(StrEnum):
    SMALL = "small"
    LARGE = "large"


@dataclass(frozen=True, slots=True)
class Inner:
    number: float
    size: Size = Size.SMALL


@dataclass(frozen=True, slots=True)
class Outer:
    pair: tuple[int, str]
    inners: tuple[Inner, ...] = ()
    named: Mapping[str, Inner] = field(default_factory=dict)
    counted: Mapping[int, float] = field(default_factory=dict)
    maybe: Inner | None = None
    either: int | str | None = None
    flag: bool = False
    anything: Any = None


WHOLE = Outer(
    (1, "a"), (Inner(0.5), Inner(1, Size.LARGE)), {"x": Inner(2.0)}, {3: 0.25}, Inner(-1.5), "text", flag=True
)


def in_a_file(record: object) -> Any:
    return json.loads(readable_json(plain_record(record)))


@pytest.mark.parametrize("record", [WHOLE, Outer((0, "")), replace(WHOLE, either=7)])
def test_what_was_written_is_read_back(record: Outer) -> None:
    assert read_record(Outer, in_a_file(record)) == record
    assert read_record(Outer, plain_record(record)) == record


@pytest.mark.parametrize("check", [make_final_check(), make_full_check(), make_full_regression_check()])
def test_a_final_check_is_read_back_from_its_file(check: FinalCheck) -> None:
    document = json.loads(readable_json(final_check_document(check)))

    assert document["schema_version"] == 2
    assert document["part"] == "validation"
    assert read_final_check(document) == check


def test_a_number_that_was_not_known_is_not_a_number_again() -> None:
    check = without_numbers(make_full_check())
    read = read_record(FinalCheck, in_a_file(check))

    assert math.isnan(read.score.low)
    assert read.calibration is not None
    assert read.calibration.intercept is None
    assert read.calibration.slope is not None
    assert math.isnan(read.calibration.slope.value)
    assert plain_record(read) == plain_record(read_record(FinalCheck, plain_record(read)))
    assert read_record(Estimate, {"value": 1, "low": None, "high": None, "standard_error": 0}).value == 1.0


def test_the_file_of_an_older_version_is_read() -> None:
    estimate = {"value": 0.81, "low": 0.79, "high": 0.83, "standard_error": 0.01}
    old = {
        "schema_version": 1,
        "part": "validation",
        "metric": "roc_auc",
        "rows": 400,
        "fitted_on": "training+testing",
        "score": estimate,
        "metrics": {"roc_auc": estimate},
        "comparisons": [{"against": "dummy", "other_score": 0.5, "gain": estimate}],
        "gap": {"testing": 0.82, "validation": 0.81, "drop": 0.01, "standard_error": 0.012},
        "gates": [{"name": "beats the dummy", "outcome": "passed", "reason": "it does"}],
        "verdict": "adequate",
        "resamples": 1000,
    }
    read = read_final_check(old)

    assert (read.score.value, read.verdict, read.level, read.resampled) == (0.81, Verdict.ADEQUATE, 0.95, "rows")
    assert (read.finalists, read.calibration, read.opened) == ((), None, None)
    assert read.gap is not None
    assert read.gap.optimism is None
    assert read_final_check({**old, "gap": None}).gap is None


def test_the_file_of_a_newer_version_is_read() -> None:
    newer = in_a_file(make_full_check()) | {"schema_version": 9, "a key of tomorrow": {"a": [1]}}
    newer["score"]["kind"] = "studentised"

    assert read_final_check(newer) == make_full_check()


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"pair": [1]}, ValueError, r"Outer\.pair: 1 values, not 2"),
        ({"pair": [1, 2]}, TypeError, r"Outer\.pair\[1\]: str should stand here, not 2"),
        ({"pair": [True, "a"]}, TypeError, r"Outer\.pair\[0\]: int should stand here, not True"),
        ({"pair": None}, TypeError, r"Outer\.pair: list or tuple should stand here, not None"),
        ({"inners": [{"number": 1.0}, {"size": "small"}]}, ValueError, r"Outer\.inners\[1\]\.number: is missing"),
        ({"inners": [{"number": "1"}]}, TypeError, r"inners\[0\]\.number: int or float should stand here, not '1'"),
        ({"named": {"x": 3}}, TypeError, r"Outer\.named\['x'\]: Mapping should stand here, not 3"),
        ({"counted": {"x": 3}}, ValueError, "invalid literal for int"),
        ({"maybe": {"number": 1, "size": "huge"}}, ValueError, r"maybe\.size: 'huge' is none of 'small', 'large'"),
        ({"either": 1.5}, TypeError, r"Outer\.either: str should stand here, not 1\.5"),
        ({"flag": 1}, TypeError, r"Outer\.flag: bool should stand here, not 1"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_place(changes: dict[str, Any], error: type, said: str) -> None:
    with pytest.raises(error, match=said):
        read_record(Outer, in_a_file(WHOLE) | changes)


def test_a_spoilt_file_is_refused_with_the_place() -> None:
    spoilt = in_a_file(make_full_check())
    spoilt["finalists"][1]["score"]["low"] = "high"

    with pytest.raises(BundleRefused, match=r"final_check\.json .*FinalCheck\.finalists\[1\]\.score\.low.*verify"):
        read_final_check(spoilt)
    with pytest.raises(TypeError, match="Mapping should stand here"):
        read_record(WhyNot, None)
    with pytest.raises(BundleRefused, match="Mapping should stand here"):
        read_final_check([])  # type: ignore[arg-type]


def test_nan_stays_nan_only_where_a_number_is_wanted() -> None:
    assert math.isnan(read_record(Inner, in_a_file(Inner(NAN))).number)
    assert read_record(Outer, in_a_file(Outer((1, "a"), maybe=None))).maybe is None
