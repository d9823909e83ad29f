"""What an ONNX model of raysweep says of itself, so that somebody who has nothing else can feed and read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from raysweep.config import TaskKind
from raysweep.records.table import Column, ColumnKind, Label

_SAID: Final[Mapping[ColumnKind, str]] = {
    ColumnKind.NUMBER: "a number; NaN where it is missing; an infinite one counts as missing",
    ColumnKind.BOOLEAN: "1 for true, 0 for false; NaN where it is missing",
    ColumnKind.DATETIME: (
        "an instant in microseconds since 1970-01-01T00:00:00 UTC; what carries another zone is turned into UTC first, "
        "what carries none is taken as it is; -9223372036854775808 where it is missing"
    ),
}


def input_words(column: Column, missing_text: str) -> str:
    """What an input is fed with."""
    text = f"a text, letter by letter as in the training data; {missing_text!r} where it is missing"
    return f"{column.kind.value}: {_SAID.get(column.kind, text)}"


def output_words(task: TaskKind, classes: Sequence[Label], target: str) -> str:
    """What `prediction` holds."""
    of_target = f" of {target!r}" if target else ""
    if task is TaskKind.REGRESSION:
        return f"The predicted number{of_target}, shape (rows, 1)."
    columns = ", ".join(f"{place}: {label!r}" for place, label in enumerate(classes))
    return (
        f"The probability of each class{of_target}, shape (rows, {len(classes)}); its columns, from the left, are "
        f"those of the classes {{{columns}}}. The class with the largest is the predicted one."
    )


def model_words(inputs: Mapping[str, str], output: str, facts: Mapping[str, str]) -> str:
    """The same of the whole model, since runtimes show its words and not those of its inputs.

    Args:
        inputs: name -> its words.
        output: the words of `prediction`.
        facts: run, verdict and the like: the model's metadata.
    """
    said = ", ".join(
        f"{key.partition('.')[2]} {facts[key]}" for key in ("raysweep.run_id", "raysweep.verdict") if key in facts
    )
    lines = [
        f"A model published by raysweep{f' ({said})' if said else ''}, preparation included.",
        "Each input is a column of the source, fed by its name, shape (rows, 1):",
        *(f"- {name}: {words}" for name, words in inputs.items()),
        f"Output prediction: {output}",
    ]
    return "\n".join(lines)
