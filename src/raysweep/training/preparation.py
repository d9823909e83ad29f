"""The rules of `data.prepare` as a part of a fitted model: what they learned, as plain JSON."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import pyarrow as pa

from raysweep.documents import digest, readable_json, shorten
from raysweep.errors import BundleRefused
from raysweep.prepare_rules import PreparationDocument, Rule, RuleState
from raysweep.rows.prepare import apply_rules, fit_rules

PREPARE_FILE: Final = "prepare.json"


@dataclass(frozen=True, slots=True)
class FittedPreparation:
    """Rules, each with what it learned from the rows that a model was fitted on."""

    rules: tuple[Rule, ...] = ()
    states: tuple[RuleState, ...] = ()

    @classmethod
    def fit(cls, rules: tuple[Rule, ...], inputs: pa.Table) -> tuple[Self, pa.Table]:
        """Learn from these rows; returns what was learned, and the rows prepared."""
        states, prepared = fit_rules(inputs, rules)
        return cls(rules, states), prepared

    def apply(self, inputs: pa.Table) -> pa.Table:
        """Other rows, prepared in the same way.

        Raises:
            DataUnsuitable: a text cannot be read as the number or date that it is declared to be.
        """
        return apply_rules(inputs, self.rules, self.states)

    @property
    def digest(self) -> str | None:
        """The sha256 of rules and states as canonical JSON; None without rules."""
        return digest(self._document()) if self.rules else None

    def save(self, folder: Path) -> list[str]:
        """Write it into an existing folder, unless there are no rules; returns the names of the files."""
        if not self.rules:
            return []
        (folder / PREPARE_FILE).write_bytes(readable_json(self._document()))
        return [PREPARE_FILE]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What `save` wrote; without its file there are no rules.

        Raises:
            BundleRefused: the file does not hold rules and their states.
        """
        path = folder / PREPARE_FILE
        if not path.exists():
            return cls()
        try:
            document = PreparationDocument.model_validate_json(path.read_bytes(), strict=True)
        except ValueError as error:
            raise BundleRefused(f"{PREPARE_FILE} cannot be read: {shorten(str(error), 300)}") from error
        return cls(document.rules, document.states)

    def _document(self) -> dict[str, object]:
        return PreparationDocument(rules=self.rules, states=self.states).model_dump(mode="json")
