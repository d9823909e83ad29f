"""Before the stages of a sweep: what is asked is checked, the run gets its place, and Ray starts.

The code of the stages takes as long to load as Ray takes to start, so it is loaded meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from raysweep.aftermath import cleared
from raysweep.bundle.signing import read_signer
from raysweep.config import SweepConfig, require_target
from raysweep.errors import RequestInvalid
from raysweep.events import Said
from raysweep.records.aims import check_aims
from raysweep.request import Ready, SweepRequest
from raysweep.run_place import reserve
from raysweep.runtime.ray_session import ray_session
from raysweep.runtime.run_folder import make_run_folder, new_run_id
from raysweep.space import SearchSpace, load_space
from raysweep.stages.export.asked_formats import check_formats
from raysweep.stages.search.earlier import check_goes_on
from raysweep.stages.search.grid import check_grid
from raysweep.stages.source.ray_source import locate
from raysweep.stages.validate.thresholds import resolve_thresholds
from raysweep.stages.validate.user_schema import read_user_schema
from raysweep.storage.secret_values import described, find_secrets, process_secrets
from raysweep.training.families import check_space, families, possible_spaces

if TYPE_CHECKING:
    from raysweep.sweep import Sweep


def run(request: SweepRequest) -> Sweep:
    """A whole sweep.

    Raises:
        RequestInvalid, NotFound: the request is wrong; found out before anything is read.
        DataUnsuitable: the data gate says no; the findings are published. Or the data of a run that goes on have
            changed; nothing is published.
        RunTakenOver: another driver goes on with the run.
        NoTrialFinished: every candidate failed; the trials are published.
        StorageFailed: the bundle could not be put; its files stay on this machine.
    """
    ready = _check(request)
    with cleared(ready.folder), ray_session(request.config.cluster.address, loading="raysweep.sweep") as session:
        from raysweep.sweep import run_stages

        request.tell(
            Said(f"Ray runs with {session.cpus} CPUs and {session.gpus:g} GPUs; its logs are in {session.logs}")
        )
        sweep = run_stages(request, ready, session)
    return replace(sweep, seconds=time.perf_counter() - ready.started)


def _check(request: SweepRequest) -> Ready:
    started, config = time.perf_counter(), request.config
    require_target(config)
    check_aims(config.search)
    space = load_space(config.search.space, base=Path())
    check_space(space)
    secrets = process_secrets()
    _refuse_secrets(config, space, secrets)
    if config.search.algorithm == "grid":
        check_grid(possible_spaces(space, config.data.task))
    resolve_thresholds(config.checks)
    schema = read_user_schema(config)
    if request.data is None:
        locate(config)
    check_formats(config.export.formats)
    signer = None if config.export.sign is None else read_signer(config.export.sign)
    run_id = new_run_id(config.name, datetime.now(UTC)) if request.run_id is None else request.run_id
    place = reserve(config, run_id, request.earlier)
    check_goes_on(place.history.records, space)
    champion = None
    if config.confirm.production is not None:  # what reads bundles takes its time to load
        from raysweep.stages.confirm.production import find_champion

        champion = find_champion(config)
    return Ready(space, schema, place, make_run_folder(run_id), started, secrets, champion, signer)


def _refuse_secrets(config: SweepConfig, space: SearchSpace, secrets: Mapping[str, str]) -> None:
    """What is asked stands in the run's journal from the beginning, and in its bundle."""
    asked = {
        **config.model_dump(mode="json", by_alias=True),
        "search.space": space.model_dump(mode="json", by_alias=True),
        "defaults": {name: dict(families()[name].defaults) for name in space.families},
    }
    found = dict.fromkeys(find_secrets(asked, secrets))
    problems = [f"{path} holds {described(name)}" for path, name in found]
    if problems:
        raise RequestInvalid(
            f"{'; '.join(problems)}: what is asked is published. Take it out; what runs a trial can read the variable",
            problems=problems,
        )
