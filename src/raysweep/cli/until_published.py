"""`raysweep run --until-published`: a line that a scheduler carries out again until the run is published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from raysweep.cli.outcome import Answer
from raysweep.cli.show import view_answer
from raysweep.errors import EXIT_OK, DataUnsuitable, NotFound, NoTrialFinished, RequestInvalid

if TYPE_CHECKING:
    from raysweep.bundle.view import RunView
    from raysweep.config import SweepConfig

_WITHOUT_MODEL: Final = {
    "data unsuitable": DataUnsuitable.exit_code,
    "no trial finished": NoTrialFinished.exit_code,
}


def answer_if_published(
    sweep: str | Path | Mapping[str, Any], overrides: Sequence[str], run_id: str | None
) -> Answer | None:
    """What came of the run, where it is published already; None where there is something to do.

    Raises:
        RequestInvalid: no run is named, or the one of that name was asked something else.
        BundleRefused: its manifest cannot be read.
        StorageFailed: its place does not answer.
    """
    from raysweep.config import load_config

    if run_id is None:
        raise RequestInvalid("--until-published wants to know which run: name it with --run")
    config = load_config(sweep, overrides=overrides)
    view = _view(config, run_id)
    if view is None or not view.finished:
        return None
    _check_same(config, run_id)
    outcome = str(view.manifest.get("outcome", ""))
    return replace(view_answer(view), exit_code=_WITHOUT_MODEL.get(outcome, EXIT_OK))


def _view(config: SweepConfig, run_id: str) -> RunView | None:
    from raysweep import api

    try:
        return api.show(_address(config, run_id), s3=config.export.s3)
    except NotFound:
        return None


def _check_same(config: SweepConfig, run_id: str) -> None:
    from raysweep.history import check_same_request
    from raysweep.run_place import read_history
    from raysweep.storage.open_store import open_store

    store = open_store(config.export.to, config.export.s3).child(run_id)
    before = read_history(store).config()
    if before is not None:  # the journal of a published run may have been deleted
        check_same_request(before, config, store.address())


def _address(config: SweepConfig, run_id: str) -> str:
    return f"{config.export.to.rstrip('/')}/{run_id}"
