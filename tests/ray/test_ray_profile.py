"""The distributed pass gives the same profile for the same rows, however they are cut."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from builders import arrow_of, clean_table, profile_of, request_of, table_of
from raysweep.documents import canonical_json
from raysweep.rows.canonical import placed
from raysweep.stages.profile.document import profile_document
from raysweep.stages.profile.ray_profile import profile_table
from raysweep.stages.profile.request import ProfileRequest

pytestmark = [
    pytest.mark.usefixtures("ray_session"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context"),  # ray copies its own settings
]


def dataset_of(arrow, blocks):
    import ray

    arrow = placed(arrow, 0, 0)
    cuts = np.linspace(0, arrow.num_rows, blocks + 1).astype(int).tolist()
    return ray.data.from_arrow([arrow.slice(a, b - a) for a, b in pairwise(cuts)])


def test_same_document_for_any_blocks_and_order():
    frame = clean_table(2_000, seed=1)
    table = table_of(frame)
    expected = canonical_json(profile_document(profile_of(frame), table))
    arrow, _ = arrow_of(frame)
    for blocks in (1, 7, 64):
        shuffled = arrow.take(np.random.default_rng(blocks).permutation(arrow.num_rows))
        profile = profile_table(table_of(frame, dataset_of(shuffled, blocks)), request_of(frame))
        assert canonical_json(profile_document(profile, table)) == expected
        assert profile.sample.num_rows == 2_000


def test_no_rows_give_a_profile_of_zeros():
    frame = clean_table(10, seed=1).head(0)
    arrow, _ = arrow_of(frame)
    for blocks in (1, 3):
        profile = profile_table(table_of(frame, dataset_of(arrow, blocks)), request_of(frame))
        assert profile == profile_of(frame)
        assert profile.rows == 0


def test_an_absent_target_is_no_target():
    frame = clean_table(50, seed=1)
    arrow, _ = arrow_of(frame)
    assert profile_table(table_of(frame, dataset_of(arrow, 2)), ProfileRequest("tagret")).target is None
