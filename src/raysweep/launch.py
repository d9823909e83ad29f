"""Before the stages of a sweep: what is asked is checked, the run gets its place, and Ray starts.

The code of the stages takes as long to load as Ray takes to start, so it is loaded meanwhile.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from raysweep.aftermath import cleared
from raysweep.bundle.signing import read_signer
from raysweep.events import Said
from raysweep.nodes.judgement import check
from raysweep.nodes.ray_look import Errand, Looking
from raysweep.request import Ready, SweepRequest
from raysweep.request_check import check_asked
from raysweep.run_place import reserve
from raysweep.runtime.cluster_address import wanted_ray
from raysweep.runtime.ray_session import ray_session
from raysweep.runtime.run_folder import make_run_folder, new_run_id
from raysweep.stages.search.earlier import check_goes_on
from raysweep.stages.source.ray_source import locate
from raysweep.storage.secret_values import process_secrets

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
    ready, address = _check(request), request.config.cluster.address
    looking = Looking(Errand.of(request.config, ready.first_file))
    with cleared(ready.folder), ray_session(address, "raysweep.sweep", looking.begin) as session:
        from raysweep.sweep import run_stages

        request.tell(
            Said(f"Ray runs with {session.cpus} CPUs and {session.gpus:g} GPUs; its logs are in {session.logs}")
        )
        judged = looking.end()
        check(judged)
        for one in judged:
            request.tell(Said(f"{one.what}: {one.said}"))
        sweep = run_stages(request, ready, replace(session, fit=looking.fit))
    return replace(sweep, seconds=time.perf_counter() - ready.started)


def _check(request: SweepRequest) -> Ready:
    started, config = time.perf_counter(), request.config
    wanted_ray(config.cluster.address, os.environ)
    asked = check_asked(config)
    for sentence in asked.said:
        request.tell(Said(sentence))
    first_file = None if request.data is not None else locate(config)[0][0].address
    signer = None if config.export.sign is None else read_signer(config.export.sign)
    run_id = new_run_id(config.name, datetime.now(UTC)) if request.run_id is None else request.run_id
    place = reserve(config, run_id, request.earlier)
    check_goes_on(place.history.records, asked.space)
    champion = None
    if config.confirm.production is not None:  # what reads bundles takes its time to load
        from raysweep.stages.confirm.production import find_champion

        champion = find_champion(config)
    folder = make_run_folder(run_id)
    secrets = process_secrets()  # by now also what the requests to S3 are signed with
    return Ready(asked.space, asked.schema, place, folder, started, secrets, champion, signer, first_file)
