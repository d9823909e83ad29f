"""Slices are judged as scikit-learn, scipy and statsmodels would, and a planted weak one is found."""

import tracemalloc
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import entropy, ttest_ind
from statsmodels.stats.multitest import multipletests

from raysweep.records.metric import METRICS
from raysweep.training.declared_slices import declared_slices
from raysweep.training.metrics import score
from raysweep.training.slice_tree import found_slices
from raysweep.training.slices import (
    JudgedRows,
    Members,
    holm,
    judge_slices,
    row_losses,
    smallest_slice,
)

ROWS = 3_000


def features(rows, seed):
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "age": pa.array(rng.integers(18, 80, rows)),
            "income": pa.array(np.where(rng.random(rows) < 0.1, np.nan, rng.normal(50, 9, rows)), from_pandas=True),
            "plan": pa.array(rng.choice(["basic", "plus", "pro", "max"], rows), pa.large_string()),
            "member": pa.array(rng.random(rows) < 0.4),
            "joined": pa.array(np.datetime64("2020-01-01T00", "us") + rng.integers(0, 1_000, rows) * 86_400_000_000),
        }
    )


def predictions(weak, seed):
    """Classes that are predicted well but in the rows that are weak."""
    rng = np.random.default_rng(seed)
    y = (rng.random(len(weak)) < 0.4).astype(float)
    positive = np.where(weak, 0.4, np.where(y == 1, 0.8, 0.2)) + rng.uniform(-0.1, 0.1, len(weak))
    return y, np.column_stack([1 - positive, positive])


def judged(weak, seed, **given):
    y, predicted = predictions(weak, seed)
    return JudgedRows(y, predicted, np.tile([0.6, 0.4], (len(y), 1)), **given)


def test_declared_slices_part_the_rows_of_each_column():
    table = features(ROWS, 0)
    slices = declared_slices(table, table)
    for name in table.column_names:
        assert sum(one.rows.astype(int) for one in slices if one.column == name) == pytest.approx(np.ones(ROWS))
    rows = {one.name: one.rows for one in slices}
    assert (rows["plan = pro"] == (np.array(table["plan"].to_pylist()) == "pro")).all()
    assert (rows["member = true"] == np.array(table["member"].to_pylist())).all()
    assert (rows["income is missing"] == np.array([one is None for one in table["income"].to_pylist()])).all()
    age = np.array(table["age"])
    lowest = next(one for one in slices if one.name.startswith("age <="))
    assert (lowest.rows == (age <= np.quantile(age, 0.25, method="lower"))).all()
    assert len([one for one in slices if one.column == "age"]) == 4
    assert any(one.name.startswith("joined <= 2020-") for one in slices)


def test_the_most_frequent_values_and_the_rest():
    texts = [f"v{number:02}" for number in range(30) for _ in range(number + 1)] + [None, ""]
    slices = declared_slices(pa.table({"code": pa.array(texts, pa.large_string()), "flag": [0, 1] * 233 + [0]}))
    names = [one.name for one in slices]
    assert names[:2] == ["code = v29", "code = v28"]
    assert names[20:22] == ["code = other values", "code is missing"]
    assert slices[20].rows.sum() == sum(range(1, 11)) + 1
    assert names[22:] == ["flag = 0", "flag = 1"]


def test_a_column_without_values():
    slices = declared_slices(pa.table({"text": pa.nulls(5, pa.large_string()), "number": pa.nulls(5, pa.float64())}))
    assert [one.name for one in slices] == ["text is missing", "number is missing"]


def test_edges_and_values_of_inputs_are_those_of_rows_that_are_not_sealed():
    rng = np.random.default_rng(22)
    reference = pa.table({"x": rng.normal(0, 1, 1_000), "text": pa.array(["a", "b"] * 500, pa.large_string())})
    sealed = pa.table({"x": rng.normal(9, 1, 400), "text": pa.array(["a", "c"] * 200, pa.large_string())})
    edges = [f"{one:.6g}" for one in np.quantile(reference["x"], [0.25, 0.5, 0.75], method="inverted_cdf")]
    assert [(one.name, one.rows.sum()) for one in declared_slices(sealed, reference)] == [
        (f"x > {edges[2]}", 400),
        ("text = a", 200),
        ("text = other values", 200),
    ]
    empty = pa.table({"x": pa.nulls(5, pa.float64())})
    assert [one.name for one in declared_slices(sealed.select(["x"]), empty)] == ["x = other values"]


@pytest.mark.parametrize(
    ("values", "edges"),
    [
        (1_000 + np.arange(400) * 1.2345678, ("1122", "1246", "1369")),
        (pa.array(2_000_000 + np.arange(400)), ("2000099", "2000199", "2000299")),
        (pa.array(np.arange(400) * 1_003), ("99000", "200000", "300000")),
        (np.where(np.arange(400) % 99 == 0, np.arange(400), 7.654321), ("7.65",)),
        (
            pa.array(np.datetime64("2020-01-01T03:04:05.678901", "us") + np.arange(400) * 86_400_000_000),
            ("2020-04-09 02:40:00", "2020-07-17 15:33:20", "2020-10-26 08:13:20"),
        ),
    ],
)
def test_edges_of_sealed_values_are_rounded(values, edges):
    names = [one.name for one in declared_slices(pa.table({"x": values}))]
    assert names == [f"x <= {edges[0]}", *(f"x in ({a}, {b}]" for a, b in pairwise(edges)), f"x > {edges[-1]}"]


def test_endless_numbers_and_long_values():
    values = pa.array([*np.linspace(0.12345, 99, 60), *[np.inf] * 40, *[-np.inf] * 40])
    parted = declared_slices(pa.table({"x": values}))
    assert sum(one.rows.astype(int) for one in parted) == pytest.approx(np.ones(140))
    (long,) = declared_slices(pa.table({"t": pa.array(["secret " * 40], pa.large_string())}))
    assert len(long.name) < 70
    assert long.name.endswith("…")


@pytest.mark.parametrize("name", ["roc_auc", "log_loss", "accuracy", "brier"])
def test_scores_and_p_values_are_those_of_the_libraries(name):
    metric, rng = METRICS[name], np.random.default_rng(1)
    masks = [rng.random(ROWS) < share for share in (0.1, 0.3, 0.5)]
    rows = judged(masks[0], 2, weight=rng.lognormal(0, 0.3, ROWS))
    slices = judge_slices([Members(str(number), None, mask) for number, mask in enumerate(masks)], rows, metric)
    plain = judged(masks[0], 2)
    loss = row_losses(metric, rows.y, rows.predicted)
    beyond = loss - entropy(rows.predicted, axis=1)
    expected = [ttest_ind(beyond[mask], beyond[~mask], equal_var=False, alternative="greater").pvalue for mask in masks]
    unweighted = judge_slices([Members(str(number), None, mask) for number, mask in enumerate(masks)], plain, metric)
    adjusted = multipletests(expected, method="holm")[1]
    for one, other in zip(slices, unweighted, strict=True):
        assert other.p_value == pytest.approx(adjusted[int(other.name)], rel=1e-9)
        inside = masks[int(one.name)]
        y, weight = rows.y[inside], rows.weight[inside]
        assert one.score == pytest.approx(score(name, y, rows.predicted[inside], weight))
        assert one.dummy_score == pytest.approx(score(name, y, rows.dummy[inside], weight))
        ratio = np.average(loss[inside], weights=weight) / np.average(loss, weights=rows.weight)
        assert one.loss_ratio == pytest.approx(ratio)
    assert slices[0].name == "0"
    assert slices[0].p_value < 1e-6


def test_holm_is_that_of_statsmodels():
    rng = np.random.default_rng(3)
    for count in (1, 2, 30):
        p_values = list(rng.random(count) ** 4)
        assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])
    assert holm([]) == []


def test_copies_of_rows_in_a_group_are_no_evidence():
    rng = np.random.default_rng(4)
    weak = rng.random(400) < 0.4
    rows = judged(weak, 5)
    half = Members("half", None, rng.random(400) < 0.5)
    alone = judge_slices([half], rows, METRICS["log_loss"])[0]
    many = [np.repeat(one, 9, axis=0) for one in (rows.y, rows.predicted, rows.dummy)]
    group = np.repeat(np.arange(400, dtype=np.uint64), 9)
    copies = Members("half", None, np.repeat(half.rows, 9))
    grouped = judge_slices([copies], JudgedRows(*many, group=group), METRICS["log_loss"])[0]
    assert grouped.p_value == pytest.approx(alone.p_value, rel=1e-9)
    assert judge_slices([copies], JudgedRows(*many), METRICS["log_loss"])[0].p_value != pytest.approx(alone.p_value)


def test_small_slices_are_left_out_and_floors_are_kept():
    rows = judged(np.zeros(ROWS, dtype=bool), 6)
    place = np.arange(ROWS)
    slices = [Members("small", "a", place < 99), Members("enough", "a", place < 100), Members("found", None, place > 9)]
    slices += [Members("small and found", None, place < 99)]
    found = judge_slices(slices, rows, METRICS["roc_auc"], {"a": 0.7})
    assert {one.name: one.floor for one in found[:2]} == {"enough": 0.7, "found": None}
    (small,) = found[2:]
    assert (small.name, small.rows, small.floor, small.judged) == ("small", 99, 0.7, False)
    assert (small.score, small.dummy_score, small.p_value) == (None, None, 1.0)
    without = judge_slices(slices[1:], rows, METRICS["roc_auc"], {"a": 0.7})
    assert found[:2] == without, "Holm over those that are judged"
    assert smallest_slice(50_000) == 500
    assert judge_slices(slices[3:], rows, METRICS["roc_auc"]) == ()


def test_rows_without_weight_are_no_rows():
    place = np.arange(ROWS)
    weight = np.where(place < 300, 0.0, np.random.default_rng(1).lognormal(0, 0.3, ROWS))
    group = (place // 3).astype(np.uint64)
    rows = judged(place % 4 == 0, 21, weight=weight, group=group)
    slices = [
        Members("nothing", "a", place < 200),
        Members("99", "a", (place >= 201) & (place < 399)),
        Members("many", "a", place % 4 == 0),
    ]
    found = {one.name: one for one in judge_slices(slices, rows, METRICS["log_loss"])}
    assert {name: (one.rows, one.judged) for name, one in found.items()} == {
        "nothing": (0, False),
        "99": (99, False),
        "many": (675, True),
    }
    kept = weight > 0
    rest = [Members("many", "a", slices[2].rows[kept])]
    assert judge_slices(rest, rows.take(kept), METRICS["log_loss"]) == (found["many"],)
    nothing = judge_slices(slices, judged(place < 0, 6, weight=np.zeros(ROWS)), METRICS["log_loss"])
    assert [one.judged for one in nothing] == [False] * 3


def test_many_slices_take_the_memory_of_a_few():
    rows = 100_000
    y = (np.random.default_rng(0).random(rows) < 0.5).astype(float)
    block = JudgedRows(y, np.column_stack([1 - y, y]) * 0.8 + 0.1, np.full((rows, 2), 0.5))
    slices = [Members(str(one), None, np.arange(rows) % 40 == one) for one in range(40)]

    def peak(count):
        tracemalloc.start()
        judge_slices(slices[:count], block, METRICS["roc_auc"])
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(40) < 1.5 * peak(5)


def test_where_nothing_can_be_said():
    rows = JudgedRows(np.zeros(300), np.tile([0.9, 0.1], (300, 1)), np.tile([0.9, 0.1], (300, 1)))
    half = np.arange(300) < 150
    found = judge_slices([Members("half", None, half), Members("all", None, half | True)], rows, METRICS["roc_auc"])
    assert [one.score for one in found] == [None, None]
    assert [one.p_value for one in found] == [1.0, 1.0]
    perfect = JudgedRows(np.zeros(300), np.zeros(300), np.ones(300))
    assert judge_slices([Members("half", None, half)], perfect, METRICS["rmse"])[0].loss_ratio == 1.0


def planted(table):
    age, plan = np.array(table["age"]), np.array(table["plan"].to_pylist())
    return (age > 60) & np.isin(plan, ["pro", "max"])


def test_the_tree_finds_a_planted_slice_on_other_rows():
    testing, validation = features(ROWS, 7), features(ROWS, 8)
    y, predicted = predictions(planted(testing), 9)
    losses = row_losses(METRICS["roc_auc"], y, predicted)
    slices = found_slices(testing, losses, None, validation, 0)
    assert sum(one.rows.astype(int) for one in slices) == pytest.approx(np.ones(ROWS))
    worst = judge_slices(slices, judged(planted(validation), 10), METRICS["roc_auc"])[0]
    assert "age > 60" in worst.name
    assert "plan in {" in worst.name
    assert "pro" in worst.name
    assert "basic" not in worst.name
    assert worst.p_value < 1e-10
    assert worst.loss_ratio > 2
    members = next(one.rows for one in slices if one.name == worst.name)
    assert (members == planted(validation)).mean() > 0.97


@pytest.mark.parametrize("column", ["member", "income", "joined"])
def test_rules_of_every_kind_can_be_read(column):
    testing, validation = features(ROWS, 11), features(ROWS, 12)

    def weak(table):
        if column == "income":
            return np.array(table[column].is_null(nan_is_null=True))
        values = np.array(table[column].to_pylist())
        return values if column == "member" else values > np.datetime64("2022-01-01T00", "us").astype(object)

    y, predicted = predictions(weak(testing), 13)
    slices = found_slices(testing, row_losses(METRICS["brier"], y, predicted), None, validation, 0)
    first = judge_slices(slices, judged(weak(validation), 14), METRICS["brier"])[0]
    said = {"member": "member = true", "income": "income is missing", "joined": "joined > 202"}[column]
    assert said in first.name


def test_unseen_categories_and_pure_noise():
    testing, validation = features(ROWS, 15), features(ROWS, 16)
    validation = validation.set_column(2, "plan", pa.array(["new"] * ROWS, pa.large_string()))
    y, predicted = predictions(planted(testing), 17)
    losses = row_losses(METRICS["roc_auc"], y, predicted)
    assert sum(one.rows.sum() for one in found_slices(testing, losses, None, validation, 0)) == ROWS
    assert found_slices(testing, np.ones(ROWS), None, validation, 0) == []
    assert found_slices(testing.slice(0, 150), losses[:150], None, validation, 0) == []


def test_a_leaf_of_missing_values_is_called_so():
    """A cut at infinity below an ordinary one: missing values go with the smaller ones first."""
    rng = np.random.default_rng(0)
    x, missing = rng.uniform(0, 10, 6_000), rng.random(6_000) < 0.15
    losses = np.where(missing, 1.0, np.where(x <= 5, 0.8, 0.0)) + rng.normal(0, 0.05, 6_000)
    table = pa.table({"x": pa.array(x, mask=missing)})
    slices = found_slices(table, losses, None, table, 0)
    of_missing = [one.name for one in slices if (one.rows & missing).any()]
    assert of_missing
    assert set(of_missing) == {"x is missing"}
    assert (sum(one.rows for one in slices if one.name == "x is missing") == missing).all()


def test_a_column_whose_values_all_lack_weight():
    testing, validation = features(ROWS, 18), features(ROWS, 19)
    y, predicted = predictions(planted(testing), 20)
    losses = row_losses(METRICS["roc_auc"], y, predicted)
    weight = np.where(np.array(testing["plan"].to_pylist()) == "pro", 0.0, 1.0)
    slices = found_slices(testing, losses, weight, validation, 0)
    kept = testing.filter(pa.array(weight > 0))
    expected = found_slices(kept, losses[weight > 0], None, validation, 0)
    assert [one.name for one in slices] == [one.name for one in expected]
    assert slices
    assert found_slices(testing, losses, np.zeros(ROWS), validation, 0) == []


def test_noise_is_seldom_called_a_weak_slice():
    wrong = 0
    for seed in range(40):
        testing, validation = features(600, 100 + seed), features(600, 200 + seed)
        nothing = np.zeros(600, dtype=bool)
        y, predicted = predictions(nothing, seed)
        slices = found_slices(testing, row_losses(METRICS["roc_auc"], y, predicted), None, validation, 0)
        found = judge_slices(slices, judged(nothing, 300 + seed), METRICS["roc_auc"])
        wrong += any(one.p_value < 0.05 for one in found)
    assert wrong <= 5


def test_rows_that_are_hard_to_tell_are_no_weakness_of_a_model_that_says_so():
    """Half of the rows are told with 0.95, the others with 0.6; then the same where it claims 0.95 for all."""
    rng = np.random.default_rng(3)
    hard = np.arange(8_000) % 2 == 0
    sure = np.where(hard, 0.6, 0.95)
    y = (rng.random(8_000) < sure).astype(float)
    members = [Members("hard", None, hard)]

    def slice_of(probability):
        dummy = np.full((8_000, 2), 0.5)
        return judge_slices(
            members, JudgedRows(y, np.column_stack([1 - probability, probability]), dummy), METRICS["log_loss"]
        )[0]

    honest, boastful = slice_of(sure), slice_of(np.full(8_000, 0.95))
    assert honest.loss_ratio > 1.2
    assert honest.p_value > 0.05
    assert boastful.p_value < 1e-6
