"""Plants every fault of `tests/planted_faults.py` with all checks, and again with its own check switched off.

A check that is switched off must make its fault's test fail. Then twenty clean tables of each kind of task, small
models and all: none may raise a warning. It prints tables, and exits 1 where something does not hold.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from builders import clean_table
from planted_faults import FAULTS, MODEL_FAULTS, SPLIT_FAULTS, Fault, check_frame, fired, parts_task
from raysweep.records.table import Severity
from raysweep.stages.split import part_checks
from raysweep.stages.validate import checks
from raysweep.stages.validate.thresholds import DEFAULTS

REGISTRIES = (checks.TABLE_CHECKS, checks.FEATURE_CHECKS, checks.TARGET_CHECKS, checks.MODEL_CHECKS)
PART_CHECKS = {
    "split.overlap": ("_overlap",),
    "split.left_out": ("_left_out",),
    "split.drift": ("_drift", "_told_apart"),
    "split.new_category": ("_new_categories",),
    "split.new_label": ("_new_labels",),
}


@contextlib.contextmanager
def switched_off(check: str) -> Iterator[None]:
    """Without one check."""
    registry = next((one for one in REGISTRIES if check in one), None)
    if registry is not None:
        kept = dict(registry)
        del registry[check]
        yield
        registry.clear()
        registry.update(kept)
        return
    kept = {name: getattr(part_checks, name) for name in PART_CHECKS[check]}
    for name in kept:
        setattr(part_checks, name, lambda *_: [])
    yield
    for name, function in kept.items():
        setattr(part_checks, name, function)


def found_in(name: str) -> dict[str, Severity]:
    """What the gate, or the split, says of a planted fault."""
    if name in SPLIT_FAULTS:
        found = part_checks.part_findings(SPLIT_FAULTS[name].rows(), parts_task(), DEFAULTS)
        return {finding.check: finding.severity for finding in found}
    fault: Fault = {**FAULTS, **MODEL_FAULTS}[name]
    frame = fault.plant(clean_table(fault.rows, seed=11, task=fault.task), np.random.default_rng(12))
    return fired(check_frame(frame, models=name in MODEL_FAULTS, **fault.data))


def show_faults() -> bool:
    """One line a fault and check; whether all hold."""
    holds = True
    print(f"{'check':26}{'fault':52}{'with it':16}{'without it'}")
    for name, fault in {**FAULTS, **MODEL_FAULTS, **SPLIT_FAULTS}.items():
        alone = found_in(name)
        for check, severity in fault.expected.items():
            if not check.startswith("schema.") and (any(check in one for one in REGISTRIES) or check in PART_CHECKS):
                with switched_off(check):
                    without = found_in(name)
                is_good = alone == fault.expected and without != fault.expected
                holds = holds and is_good
                said = "test fails" if without != fault.expected else "TEST STILL PASSES"
                print(f"{check:26}{name:52}{severity if alone == fault.expected else 'WRONG: ' + str(alone):16}{said}")
    holds = show_learning_curve() and holds
    known = {check for registry in REGISTRIES for check in registry} | set(PART_CHECKS)
    faults = (*FAULTS.values(), *MODEL_FAULTS.values(), *SPLIT_FAULTS.values())
    planted = {check for one in faults for check in one.expected}
    print(
        f"\n{len(planted & known)} of {len(known)} checks have a fault; the other: {', '.join(sorted(known - planted))}"
    )
    return holds


def show_learning_curve() -> bool:
    """The one check that only informs: it speaks of every table."""
    check = "signal.learning_curve"
    said = []
    for off in (False, True):
        with switched_off(check) if off else contextlib.nullcontext():
            said.append(
                check in {finding.check for finding in check_frame(clean_table(2_500, 0), models=True).findings}
            )
    print(f"{check:26}{'none: it informs':52}{'information':16}{'test fails' if said == [True, False] else 'WRONG'}")
    return said == [True, False]


def show_clean_tables(seeds: int = 20) -> bool:
    """How many clean tables raise a warning or an error."""
    holds = True
    for task in ("binary", "multiclass", "regression"):
        loud = [seed for seed in range(seeds) if fired(check_frame(clean_table(5_000, seed, task), models=True))]
        holds = holds and not loud
        print(f"clean tables, {task}: {len(loud)} of {seeds} seeds with a warning or an error {loud or ''}")
    return holds


if __name__ == "__main__":
    warnings.simplefilter("error")
    sys.exit(0 if show_faults() & show_clean_tables() else 1)
