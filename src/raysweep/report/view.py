"""What the report and the model card are made from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from raysweep.prepare_rules import Rule
from raysweep.records.final_check import FinalCheck
from raysweep.records.manifest import FormatRecord
from raysweep.records.table import DataCheck, LearningTask, Profile, Split, Table
from raysweep.records.trial import SearchOutcome, Trial, TrialState
from raysweep.records.usage import Usage


@dataclass(frozen=True, slots=True)
class DataView:
    """A table as people get to see it.

    Attributes:
        name: what to call it.
        aim: what the target can be learned as; None without a target.
        usable: the rows of the profile's sample that may be looked at beside the target, as a mask; None: all.
        prepare: the rules of `data.prepare`.
    """

    name: str
    table: Table = field(repr=False)
    profile: Profile
    check: DataCheck
    aim: LearningTask | None = None
    usable: Any = field(default=None, repr=False, compare=False)
    prepare: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class ReportInput:
    """A sweep as people get to see it; what it did not come to is None or empty.

    Attributes:
        created: date and time, as text.
        config: the resolved sweep.
        ranking: trials with a score, best first.
        outcome: what came of the sweep, in words.
        prepare: the rules of `data.prepare`.
        aim, usable: see `DataView`.
        usage: of the cluster.
        without_model: why no model is published though one was checked finally, in words.
        formats: the forms of the model that were asked for, and what the parity gate said of each.
    """

    run_id: str
    name: str
    created: str
    config: Mapping[str, Any]
    task: LearningTask | None
    profile: Profile
    table: Table = field(repr=False)
    check: DataCheck
    split: Split | None
    search: SearchOutcome | None
    ranking: tuple[Trial, ...]
    final_check: FinalCheck | None
    outcome: str
    prepare: tuple[Rule, ...] = ()
    aim: LearningTask | None = None
    usable: Any = field(default=None, repr=False, compare=False)
    usage: Usage | None = None
    without_model: str = ""
    formats: tuple[FormatRecord, ...] = ()

    @property
    def data(self) -> DataView:
        """The table of the sweep."""
        return DataView(self.name, self.table, self.profile, self.check, self.aim, self.usable, self.prepare)

    @property
    def headline(self) -> str:
        """The verdict, or what kept the sweep from one."""
        return self.outcome if self.final_check is None else self.final_check.verdict.value

    @property
    def bundle_address(self) -> str:
        """Where the sweep is told to put the bundle."""
        folder = str(self.config.get("export", {}).get("to", "runs/"))
        return f"{folder.rstrip('/')}/{self.run_id}"

    @property
    def other_forms(self) -> tuple[str, ...]:
        """A sentence for each further form that was asked for: where it is, or why it is not published."""
        others = () if self.without_model else [one for one in self.formats if one.name != "native"]
        return tuple(
            f"Also published as {one.name}, in {one.files[0]}: on the golden rows it predicts the same"
            f"{f' to {one.difference:.1g}' if one.difference else ''}."
            if one.published
            else f"Not published as {one.name}: {one.reason}."
            for one in others
        )

    @property
    def other_loading(self) -> tuple[str, ...]:
        """Lines of Python for each further form that is published: how it is loaded without raysweep's own."""
        published = {one.name for one in self.formats if one.published} if not self.without_model else set()
        onnx, mlflow = (f"{self.bundle_address}/{place}" for place in ("model/model.onnx", "mlflow"))
        lines = {
            "onnx": (
                "import onnxruntime",
                f"session = onnxruntime.InferenceSession({onnx!r})",
                "print(session.get_modelmeta().description)  # what each input is fed with, and what comes out",
                'session.run(["prediction"], feeds)',
            ),
            "mlflow": ("import mlflow.pyfunc", f"mlflow.pyfunc.load_model({mlflow!r}).predict(frame)"),
        }
        return tuple(line for name, each in lines.items() if name in published for line in ("", *each))

    @property
    def part(self) -> str:
        """What the search's scores were measured on."""
        return self.search.part if self.search is not None else "testing"


def states_text(search: SearchOutcome) -> str:
    """`12 complete, 30 pruned, 1 failed`."""
    counts = Counter(trial.state for trial in search.trials)
    return ", ".join(f"{counts[state]:,} {state.value}" for state in TrialState if counts[state]) or "none"
