"""Fits on rows in blocks beside the same fits in memory: what is learned of the columns, trees, rounds, the cache."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from raysweep.config import TaskKind
from raysweep.errors import SealBroken
from raysweep.records.metric import metric_for
from raysweep.records.table import Column, ColumnKind, LearningTask
from raysweep.records.trial import Candidate
from raysweep.training import block_growth
from raysweep.training.block_fit import FitBlock, encode_block, learn_columns, matrices
from raysweep.training.block_growth import Growth, Worker, grow, with_rounds
from raysweep.training.canaries import hash_block
from raysweep.training.devices import CPU
from raysweep.training.evaluate import TrialRules
from raysweep.training.metrics import score
from raysweep.training.pipeline import Pipeline
from raysweep.training.refit import fit_pipeline
from raysweep.training.seen_values import SeenValues
from raysweep.training.trial_data import RowBlock, encode

RULES = TrialRules((1.0,), 1, CPU)
KINDS = {"few": "int64", "wide": "double", "city": "string"}
COLUMNS = tuple(
    Column(name, ColumnKind.STRING if kind == "string" else ColumnKind.NUMBER, kind) for name, kind in KINDS.items()
)
TASK = LearningTask(TaskKind.BINARY, "y", metric_for(None, TaskKind.BINARY), COLUMNS, (0, 1), (1, 1))


def rows_of(count: int, seed: int, *, weighted: bool = False) -> RowBlock:
    rng = np.random.default_rng(seed)
    few, wide, city = rng.integers(0, 40, count), rng.normal(size=count), rng.integers(0, 30, count)
    wide[rng.random(count) < 0.1] = np.nan
    y = (np.nan_to_num(wide) + few / 20 + np.sin(city) + rng.logistic(size=count) > 1.2).astype(float)
    features = pa.table(
        {
            "few": few,
            "wide": pa.array(wide, from_pandas=True),
            "city": pa.array([f"c{one}" for one in city]).cast("large_string"),
        }
    )
    return RowBlock(features, y, rng.uniform(0.5, 2, count) if weighted else None)


def blocks_of(rows: RowBlock, size: int, sampled: int = 0):
    def give():
        for start in range(0, rows.rows, size):
            end = min(rows.rows, start + size)
            taken = np.arange(start, end) % 3 == 0 if sampled else np.zeros(end - start, bool)
            yield FitBlock(rows.take(slice(start, end)), taken)

    return give


def candidate_of(rounds: int = 30, **params) -> Candidate:
    return Candidate(0, "xgboost", {"max_depth": 4, **params}, "d", "default", 7, rounds)


def fitted(candidate, blocks, **more) -> Pipeline:
    learned = learn_columns(candidate, TASK, blocks, np.zeros(0, np.uint64), 0)
    learner = grow(replace(Growth(candidate, TASK, RULES, learned), **more), blocks)
    return Pipeline("xgboost", learned.preparation, learned.preprocessor, learner)


TRAIN, TEST = rows_of(6_000, 0), rows_of(4_000, 1)


def auc(pipeline: Pipeline) -> float:
    return score("roc_auc", TEST.y, pipeline.predict(TEST.features), None)


@pytest.mark.parametrize("encoding", ["ordinal", "native"])
def test_what_is_learned_of_the_columns_in_blocks_is_what_is_learned_of_all_rows(encoding):
    whole = encode(TASK, TRAIN, None, encoding, scaled=False, seed=0)
    learned = learn_columns(candidate_of(encoding=encoding), TASK, blocks_of(TRAIN, 700), np.zeros(0, np.uint64), 0)
    values = np.concatenate([one.values for one in matrices(learned, blocks_of(TRAIN, 700)(), (0, 0))])

    assert learned.rows == TRAIN.rows
    assert np.array_equal(values, whole.fit.values, equal_nan=True)
    assert learned.preprocessor.categories == whole.preprocessor.categories


def test_trees_on_few_distinct_values_are_the_ones_in_memory():
    task = replace(TASK, features=(COLUMNS[0], COLUMNS[2]))  # every value is a bin: the cuts cannot differ
    one = candidate_of()
    learned = learn_columns(one, task, blocks_of(TRAIN, 900), np.zeros(0, np.uint64), 0)
    learner = grow(Growth(one, task, RULES, learned), blocks_of(TRAIN, 900))
    ours = Pipeline("xgboost", learned.preparation, learned.preprocessor, learner)
    whole = fit_pipeline(one, task, TRAIN, RULES, rounds=30, seed=0)

    assert np.abs(ours.predict(TEST.features) - whole.predict(TEST.features)).max() < 1e-6


@pytest.mark.parametrize("encoding", ["ordinal", "native", "target", "onehot"])
def test_scores_in_blocks_are_those_in_memory(encoding):
    one = candidate_of(encoding=encoding)
    whole = auc(fit_pipeline(one, TASK, TRAIN, RULES, rounds=30, seed=0))

    assert auc(fitted(one, blocks_of(TRAIN, 900, sampled=1))) == pytest.approx(whole, abs=0.01)


def test_bins_on_disk_give_the_trees_of_bins_in_memory(monkeypatch):
    used = []
    monkeypatch.setattr(
        block_growth, "_cache", lambda *args, real=block_growth._cache: used.append(real(*args)) or used[-1]
    )
    in_memory = fitted(candidate_of(), blocks_of(TRAIN, 900))
    on_disk = fitted(candidate_of(), blocks_of(TRAIN, 900), bins_bytes=1_000)

    assert [one is None for one in used] == [True, False]
    assert np.abs(on_disk.predict(TEST.features) - in_memory.predict(TEST.features)).max() < 1e-5
    assert not used[1].exists(), "it is gone with the fit"


def test_weights_count():
    heavy = rows_of(3_000, 2, weighted=True)
    plain = replace(heavy, weight=None)
    ours, whole = (
        fitted(candidate_of(), blocks_of(heavy, 500)),
        fit_pipeline(candidate_of(), TASK, heavy, RULES, rounds=30, seed=0),
    )

    assert auc(ours) == pytest.approx(auc(whole), abs=0.01)
    unweighted = fitted(candidate_of(), blocks_of(plain, 500))
    assert np.abs(ours.predict(TEST.features) - unweighted.predict(TEST.features)).max() > 0.02


def test_watched_rows_choose_the_rounds_and_known_ones_are_kept():
    one = candidate_of(rounds=400, learning_rate=0.5)
    blocks = blocks_of(TRAIN, 900)
    learned = learn_columns(one, TASK, blocks, np.zeros(0, np.uint64), 0)
    growth = Growth(one, TASK, RULES, learned, watched=TEST)
    chosen = grow(growth, blocks).rounds

    assert 0 < chosen < 200
    assert grow(with_rounds(growth, 2 * chosen), blocks).rounds == 2 * chosen


def test_rows_of_the_sample_have_the_target_encoding_of_folds_that_lack_them():
    """A text that no other row has says nothing of the target; encoded with its own row it would say all."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 3_000).astype(float)
    texts = pa.array([f"only {number}" for number in range(3_000)]).cast("large_string")
    rows = RowBlock(pa.table({"few": np.zeros(3_000, int), "wide": rng.normal(size=3_000), "city": texts}), y, None)
    blocks = blocks_of(rows, 500, sampled=1)
    learned = learn_columns(candidate_of(encoding="target"), TASK, blocks, np.zeros(0, np.uint64), 0)

    assert learned.sample.values.shape[0] == 1_000
    assert np.ptp(learned.sample.values[:, -1]) < 0.05
    every = list(matrices(learned, blocks(), (0, 1_000)))
    assert sum(len(one.y) for one in every) == 3_000, "each row once"


def test_a_sealed_row_is_refused():
    canary = hash_block(TRAIN)[4_321:4_322]

    with pytest.raises(SealBroken, match="1 of 700 rows of a block"):
        learn_columns(candidate_of(), TASK, blocks_of(TRAIN, 700), canary, 0)


def test_a_family_that_takes_no_blocks_is_refused():
    ridge = Candidate(0, "random_forest", {}, "d", "default", 1, 5)
    learned = learn_columns(ridge, TASK, blocks_of(TRAIN, 3_000), np.zeros(0, np.uint64), 0)

    with pytest.raises(TypeError, match="random_forest cannot be fitted on blocks"):
        grow(Growth(ridge, TASK, RULES, learned), blocks_of(TRAIN, 3_000))


def test_workers_share_every_row_once():
    shares = [Worker(number, 3, contextlib.nullcontext).share(100) for number in range(3)]

    assert shares == [(0, 33), (33, 66), (66, 100)]


def test_seen_values_are_those_of_all_blocks():
    seen = SeenValues()
    for block in blocks_of(TRAIN, 700)():
        seen.add(block.rows.features)
    table = seen.table()

    assert table.schema.equals(TRAIN.features.schema)
    assert set(table["city"].to_pylist()) == set(TRAIN.features["city"].to_pylist())
    assert table["wide"].null_count
    assert not table["few"].null_count
    for name in ("few", "wide"):
        ours, whole = ([one for one in rows[name].to_pylist() if one is not None] for rows in (table, TRAIN.features))
        assert (min(ours), max(ours)) == (min(whole), max(whole))


def test_rows_that_were_not_fitted_on_are_encoded_alike():
    learned = learn_columns(candidate_of(), TASK, blocks_of(TRAIN, 700), np.zeros(0, np.uint64), 0)
    whole = encode(TASK, TRAIN, TEST, "ordinal", scaled=False, seed=0)

    assert np.array_equal(encode_block(learned, TEST).values, whole.scored.values, equal_nan=True)
