"""What the model card says of the final check beside score and gates: a few lines a subject, as Markdown."""

from __future__ import annotations

from raysweep.records.final_check import FinalCheck
from raysweep.report.check_wording import (
    FINALIST_HEAD,
    behaviour_line,
    calibration_facts,
    cause_line,
    finalist_cells,
    gap_lines,
    is_weak,
    probe_mark,
    seeds_line,
    slice_line,
    threshold_line,
    weakest_first,
)
from raysweep.report.markdown import bullets, plain, table
from raysweep.report.wording import VALIDATION, share_text

SHOWN_SLICES = 10


def check_sections(check: FinalCheck | None) -> list[list[str]]:
    """A list of lines for each subject that the check looked at."""
    if check is None:
        return []
    return [_why_not(check), _finalists(check), _luck(check), _calibration(check), _slices(check), _use(check)]


def _why_not(check: FinalCheck) -> list[str]:
    why = check.why_not
    if why is None:
        return []
    causes = (
        f"{place}. {plain(cause_line(one, check.metric))}. Evidence: {plain(one.evidence)}"
        for place, one in enumerate(why.causes, 1)
    )
    looked = (
        ["", "Also looked at, and no cause by what is known:", "", *bullets(why.looked_at)] if why.looked_at else []
    )
    return ["## Why not", "", plain(why.shortfall), "", *causes, *looked]


def _finalists(check: FinalCheck) -> list[str]:
    if not check.finalists:
        return []
    return ["## Finalists", "", *table(FINALIST_HEAD, (finalist_cells(one) for one in check.finalists))]


def _luck(check: FinalCheck) -> list[str]:
    """What the gap holds beside the line of the verdict, and the seeds."""
    said = gap_lines(check)[1:] + ([seeds_line(check.seeds)] if check.seeds is not None else [])
    return ["## Fit, optimism and seeds", "", *bullets(said)] if said else []


def _calibration(check: FinalCheck) -> list[str]:
    if check.calibration is None:
        return []
    facts = (f"{name}: {said}" for name, said in calibration_facts(check.calibration))
    return ["## Calibration", "", f"On {VALIDATION} rows:", "", *bullets(facts)]


def _slices(check: FinalCheck) -> list[str]:
    if not check.slices:
        return []
    ordered = weakest_first(check)
    metric = check.metric
    said = [("weak: " if is_weak(one, metric) else "") + slice_line(one, metric) for one in ordered[:SHOWN_SLICES]]
    rest = len(ordered) - SHOWN_SLICES
    return ["## Slices", "", *bullets(said + ([f"{rest:,} more in final_check.json"] if rest > 0 else []))]


def _use(check: FinalCheck) -> list[str]:
    """What somebody who uses the model has to know: the threshold, odd rows, what it costs."""
    said, threshold, behaviour = list[str](), check.threshold, check.behaviour
    if threshold is not None:
        confusion = threshold.confusion
        shares = (("precision", confusion.precision), ("recall", confusion.recall))
        listed = ", ".join(f"{name} {share_text(share)}" for name, share in shares if share is not None)
        said += [f"threshold: {threshold_line(threshold)}" + (f"; {listed} there" if listed else "")]
        said += ["predict uses 0.5; take predict_proba to use another threshold"]
    if behaviour is not None:
        said += [behaviour_line(behaviour)]
        said += [f"{one.name}: {probe_mark(one)}: {one.said}" for one in behaviour.probes]
    return ["## Using it", "", *bullets(said)] if said else []
