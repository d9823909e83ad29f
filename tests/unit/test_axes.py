"""Axes hold every value, their ticks are round and few, and their texts tell them apart."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest

from raysweep.report.axes import TICKS, known, scale_over

NAN, INFINITY = float("nan"), float("inf")


def ranges() -> list[tuple[float, float]]:
    draw = random.Random(3)
    return [(sign * 10 ** draw.uniform(-6, 8), 10 ** draw.uniform(-6, 8)) for sign in (-1, 0, 1) for _ in range(60)]


@pytest.mark.parametrize(("low", "width"), ranges())
def test_a_scale_holds_its_values_between_round_ticks(low: float, width: float) -> None:
    high = low + width
    scale = scale_over([low, high], 100, 500)
    gaps = [after - before for before, after in pairwise(scale.ticks)]
    mantissa = scale.step / 10 ** math.floor(math.log10(scale.step) + 1e-9)

    assert scale.low <= low + 1e-6 * width
    assert scale.high >= high - 1e-6 * width
    assert 99.9 <= scale(low) <= scale(high) <= 500.1
    assert 2 <= len(scale.ticks) <= TICKS + 2
    assert gaps == pytest.approx([scale.step] * len(gaps))
    assert min(abs(mantissa - one) for one in (1, 2, 2.5, 5, 10)) < 1e-6
    if abs(low) < 1_000 * width:
        assert len({scale.text(tick) for tick in scale.ticks}) == len(scale.ticks)


@pytest.mark.parametrize("values", [[], [NAN, None], [INFINITY], [1e308, -1e308]])
def test_a_scale_without_a_value_is_a_scale(values: list[float | None]) -> None:
    scale = scale_over(values, 0, 100)

    assert (scale.low, scale.high) == (0, 1)
    assert scale(0.5) == 50


@pytest.mark.parametrize("value", [0.0, 0.81, -3.0, 1e-12, 1e12])
def test_one_value_stands_inside_its_scale(value: float) -> None:
    scale = scale_over([value, value, NAN], 0, 100)

    assert 0 < scale(value) < 100


def test_texts_of_ticks() -> None:
    assert [scale_over([0.805, 0.825], 0, 1).text(tick) for tick in (0.805, 0.81, -0.0)] == ["0.805", "0.810", "0.000"]
    assert scale_over([0, 0.125], 0, 1).text(0.025) == "0.025"
    assert scale_over([0.16448, 0.16466], 0, 1).text(0.1645) == "0.16450"
    assert scale_over([0, 50_000], 0, 1).text(20_000) == "20,000"
    assert scale_over([0, 1e12], 0, 1).text(2e11) == "2e+11"


def test_what_is_known() -> None:
    assert known([1.0, None, NAN, INFINITY, -2.0]) == [1.0, -2.0]
