"""What results hold to be looked at: leaderboard, findings, verdict, profile; as text and as HTML."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import FrozenInstanceError, dataclass, field
from typing import TYPE_CHECKING, Any, Self

from raysweep.documents import plain_record
from raysweep.records.aims import Aims, standings_of
from raysweep.records.final_check import FinalCheck
from raysweep.records.model_facts import WhyNot
from raysweep.records.published_check import final_check_document
from raysweep.records.table import ColumnProfile, Finding, Meaning, Profile, Severity
from raysweep.records.trial import Trial

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """The trials with a score, best first."""

    trials: tuple[Trial, ...]
    aims: Aims
    part: str

    @property
    def metric(self) -> str:
        """The name of what the trials are ranked by."""
        return self.aims.metric.name

    @property
    def front(self) -> tuple[Trial, ...]:
        """Those that no other beats in the metric and in all of `search.objectives`: the Pareto front."""
        numbers = self.aims.front(standings_of(self.trials))
        return tuple(trial for trial in self.trials if trial.candidate.number in numbers)

    def to_pandas(self) -> pd.DataFrame:
        """One row a trial: rank, family, score and the part it was measured on, state, effort, seconds, params.

        With objectives and constraints also their values, `on_front` and `breaks` (the constraints that are not kept).
        """
        import pandas as pd

        front = self.aims.front(standings_of(self.trials))
        return pd.DataFrame([self._row(rank, trial, front) for rank, trial in enumerate(self.trials, start=1)])

    def _row(self, rank: int, trial: Trial, front: Collection[int]) -> dict[str, Any]:
        last = trial.rungs[-1]
        further: dict[str, Any] = {name: last.metrics.get(name) for name in self.aims.further}
        if self.aims.objectives:
            further["on_front"] = trial.candidate.number in front
        if self.aims.constraints:
            further["breaks"] = ", ".join(self.aims.broken(last.metrics))
        return {
            "rank": rank,
            "trial": trial.candidate.number,
            "family": trial.candidate.family,
            self.metric: trial.score,
            "part": self.part,
            **further,
            "state": trial.state.value,
            "effort": last.effort,
            "rounds": last.rounds,
            "seconds": last.seconds,
            "params": dict(trial.candidate.params),
        }

    def __len__(self) -> int:
        return len(self.trials)

    def _repr_html_(self) -> str:
        from raysweep.report.notebook import leaderboard_html

        return leaderboard_html(self.trials, self.aims, self.part)


class Findings(tuple[Finding, ...]):
    """What the data checks say, worst first."""

    __slots__ = ()

    def to_pandas(self) -> pd.DataFrame:
        """One row a finding, one column a field of `Finding`."""
        import pandas as pd

        return pd.DataFrame([plain_record(one) for one in self], columns=list(Finding.__dataclass_fields__))

    def __repr__(self) -> str:
        counts = Counter(one.severity for one in self)
        said = ", ".join(f"{counts[severity]:,} {severity.value}" for severity in Severity if counts[severity])
        return f"<Findings: {said or 'none'}>"

    def _repr_html_(self) -> str:
        from raysweep.report.notebook import findings_html

        return findings_html(self)


class VerdictView(str):
    """A verdict that shows why: equal to, and printed as, the text of the `Verdict` that it is.

    Attributes:
        final_check: the record that it comes from.
    """

    __slots__ = ("final_check",)
    final_check: FinalCheck

    def __new__(cls, final_check: FinalCheck) -> Self:
        """The text of the final check's verdict."""
        made = super().__new__(cls, final_check.verdict.value)
        object.__setattr__(made, "final_check", final_check)
        return made

    def __setattr__(self, name: str, value: object) -> None:
        raise FrozenInstanceError(f"a verdict is not changed: {name}")

    def __reduce__(self) -> tuple[type[VerdictView], tuple[FinalCheck]]:
        return VerdictView, (self.final_check,)

    @property
    def name(self) -> str:
        """Of the `Verdict`, such as `WITH_WARNINGS`."""
        return self.final_check.verdict.name

    @property
    def value(self) -> str:
        """Of the `Verdict`, such as `adequate with warnings`."""
        return self.final_check.verdict.value

    @property
    def allows_use(self) -> bool:
        """Whether the model may be used."""
        return self.final_check.verdict.allows_use

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why: what the gates say that did not pass, or all of them where every one passed."""
        return self.final_check.reasons

    @property
    def why_not(self) -> WhyNot | None:
        """What is missing, and what may be done about it; None where nothing is missing."""
        return self.final_check.why_not

    def to_document(self) -> dict[str, Any]:
        """As final_check.json holds it."""
        return final_check_document(self.final_check)

    def __repr__(self) -> str:
        from raysweep.report.wording import score_line

        return f"<Verdict: {self.value}; {score_line(self.final_check)}>"

    def _repr_html_(self) -> str:
        from raysweep.report.notebook import verdict_html

        return verdict_html(self.final_check)


@dataclass(frozen=True, slots=True)
class TableProfile:
    """The statistics of a table.

    Attributes:
        profile: the record with everything.
        meanings: column -> what it seems to be for.
    """

    profile: Profile = field(repr=False)
    meanings: Mapping[str, Meaning] = field(default_factory=dict, repr=False)

    @property
    def rows(self) -> int:
        """How many rows the table has."""
        return self.profile.rows

    @property
    def duplicate_rows(self) -> int:
        """Rows that repeat an earlier one exactly."""
        return self.profile.duplicate_rows

    @property
    def row_digest(self) -> str:
        """The table's content, whatever the order of its rows."""
        return self.profile.row_digest

    @property
    def target(self) -> str | None:
        """The column to predict."""
        return self.profile.target

    @property
    def columns(self) -> tuple[ColumnProfile, ...]:
        """The statistics of each column."""
        return self.profile.columns

    def column(self, name: str) -> ColumnProfile:
        """The statistics of the column called `name`; KeyError where there is none."""
        return self.profile.column(name)

    def to_pandas(self) -> pd.DataFrame:
        """One row a column: its meaning, then its statistics; the most frequent values aside."""
        import pandas as pd

        return pd.DataFrame([self._row(column) for column in self.columns])

    def _row(self, column: ColumnProfile) -> dict[str, Any]:
        meaning = self.meanings.get(column.name)
        plain = plain_record(column)
        apart = {"name", "values", "odd_places"}
        shown = {key: value for key, value in plain.items() if key not in apart}
        return {"name": column.name, "meaning": None if meaning is None else meaning.value, **shown}

    def __repr__(self) -> str:
        return f"<TableProfile: {self.rows:,} rows, {len(self.columns):,} columns>"

    def _repr_html_(self) -> str:
        from raysweep.report.notebook import profile_html

        return profile_html(self.profile, self.meanings)
