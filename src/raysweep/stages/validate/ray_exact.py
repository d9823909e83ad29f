"""Questions about every row, asked of every block; answered at once where the sample holds the whole table."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from typing import Final

import pyarrow as pa

from raysweep.prepare_rules import Rule
from raysweep.records.table import Profile, Table
from raysweep.rows.prepare import apply_unfitted
from raysweep.stages.validate.exact import Answer, Answers, Questions, answer_block, answer_from, merge_answers

_ANSWER: Final = "answer"


def answer_over(table: Table, profile: Profile, prepare: Sequence[Rule] = ()) -> Answer:
    """What answers questions about every row of the table, after the rules that the profile's sample went through."""
    if profile.sample.num_rows == profile.rows:
        return answer_from(profile.sample)
    return lambda questions: _ask_blocks(table, questions, prepare)


def _ask_blocks(table: Table, questions: Questions, prepare: Sequence[Rule]) -> Answers:
    columns = list(questions.columns)
    if not columns:
        return Answers()

    def ask(blocks: Iterator[pa.Table]) -> Iterator[pa.Table]:
        for block in blocks:
            if block.num_rows:
                answered = answer_block(apply_unfitted(block, prepare).select(columns), questions)
                yield pa.table({_ANSWER: pa.array([pickle.dumps(answered, protocol=5)], pa.large_binary())})

    # Rules may make one column of another, so that only without rules it is known which ones have to be read.
    names = None if prepare else columns
    parts = [
        pickle.loads(answer.as_buffer())  # noqa: S301 - written by our own worker a moment ago
        for batch in table.scan(ask, names)
        if _ANSWER in batch.column_names
        for answer in batch.column(_ANSWER)
    ]
    return merge_answers(parts, questions)
