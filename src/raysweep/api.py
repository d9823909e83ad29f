"""What Python users call, from `run_sweep` to `doctor`; what a sweep and an analysis give them is in results.py.

Importing this module is light; Ray and the learners are imported by the calls that need them.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.config import IN_MEMORY, S3Config, SweepConfig, load_config
from raysweep.errors import DataUnsuitable, NoTrialFinished, RequestInvalid
from raysweep.events import Listener, ignore
from raysweep.records.final_check import Verdict
from raysweep.report.view import DataView
from raysweep.results import Analysis, SweepResult
from raysweep.views import Findings, TableProfile

if TYPE_CHECKING:
    from raysweep.bundle.aliases import Promotion
    from raysweep.bundle.load import Model
    from raysweep.bundle.verify import Verification
    from raysweep.bundle.view import RunView
    from raysweep.diagnosis import Diagnoses, Diagnosis
    from raysweep.job.submitted import SubmittedRun
    from raysweep.reproduction.outcome import Reproduction
    from raysweep.request import SweepRequest
    from raysweep.scoring.predictions import Predictions
    from raysweep.storage.store import Store

_LONGEST_NAME = 60
_DATA_ENDINGS = (".csv", ".parquet", ".pq", ".jsonl", ".ndjson", ".gz", ".bz2", ".zst")


def run_sweep(  # noqa: PLR0913 - the front door: each argument is one thing that a user says
    sweep: SweepConfig | Mapping[str, Any] | str | Path | None = None,
    *,
    data: object = None,
    target: str | None = None,
    run_id: str | None = None,
    overrides: Sequence[str] = (),
    listener: Listener = ignore,
    interrupted: Callable[[], bool] | None = None,
    **search: Any,
) -> SweepResult:
    """Run a sweep from data to published bundle, on the Ray that runs, or on one started here.

    Args:
        sweep: a sweep file's path, its keys as a dict, or a config. Not needed where `data` and `target` are given.
        data: a pandas DataFrame, an Arrow table or a Ray Dataset to use instead of `data.source`; or an address.
        target: the column to predict.
        run_id: the name of the run's folder; made from name and time when absent. A run of that id that has not
            finished goes on, if it was asked the same.
        overrides: `path=value` assignments, such as `split.seed=7`.
        listener: gets every event (`raysweep.events`).
        interrupted: asked now and then; once it says true, the search finishes with what there is.
        search: keys of the `search` section, such as `trials=50`, `space="xgboost"`, `stop={"seconds": 60}`.

    Raises:
        RequestInvalid: something that was asked for is wrong.
        DataUnsuitable: the data gate says no; `.findings` says why.
        NoTrialFinished: every candidate failed.
        StorageFailed: the bundle cannot be put.
        RayUnavailable: Ray does not start, or was lost.
    """
    from raysweep.request import SweepRequest

    config, table = _request(sweep, data, target, overrides, search)
    return carry_out(SweepRequest(config, table, run_id, listener, interrupted or (lambda: False)))


def resume(  # noqa: PLR0913 - a front door too
    run: str | Path,
    *,
    data: object = None,
    overrides: Sequence[str] = (),
    run_id: str | None = None,
    s3: S3Config | Mapping[str, Any] | None = None,
    listener: Listener = ignore,
    interrupted: Callable[[], bool] | None = None,
) -> SweepResult | RunView:
    """Go on with a run that has not finished, or start from what a published one has tried.

    A run that has not finished goes on in its own folder. A published one stays as it is: a new run begins with its
    trials, and its manifest's lineage names the old one. A finished bundle that could not be put, or whose driver died
    over it, is put as it is, where nothing is to change: nothing is computed, and no data are needed.

    Args:
        run: folder, `s3://` address, or an id below `runs/`.
        data: the table, where the run's was held in memory; the same rows.
        overrides: `path=value` assignments, such as `search.trials=200`: more budget, a wider space, other resources.
        run_id: the id of the new run, where `run` is published.
        s3: how to reach an S3-compatible server; the AWS environment when absent.
        listener: gets every event.
        interrupted: as in `run_sweep`.

    Returns:
        What came of it; of a bundle that only had to be put, what `show` says of it.

    Raises:
        NotFound: there is no such run, or it has recorded nothing.
        RequestInvalid: something would change that must not, or the table is wanted (or not).
        DataUnsuitable: the data have changed since the run began.
        RunTakenOver: another driver goes on with the run.
        NoTrialFinished, StorageFailed, RayUnavailable: as `run_sweep`.
    """
    from raysweep.request import SweepRequest
    from raysweep.run_place import plan_resume
    from raysweep.unpublished import publish_left

    if run_id is None and not overrides:
        left = publish_left(run, _s3(s3), listener)
        if left is not None:
            return _put_again(left)
    plan = plan_resume(run, overrides, run_id, _s3(s3))
    _check_data(plan.config, data, run)
    asked = interrupted or (lambda: False)
    return carry_out(SweepRequest(plan.config, data, plan.run_id, listener, asked, earlier=plan.earlier))


def _put_again(store: Store) -> RunView:
    """What a sweep that was over comes to now that its bundle is published."""
    from raysweep.bundle.view import view_run

    view = view_run(store)
    outcome, url = view.manifest["outcome"], view.url
    if outcome == "data unsuitable":
        raise DataUnsuitable("the data are unsuitable, no trial was started", bundle_url=url)
    if outcome == "no trial finished":
        raise NoTrialFinished("not one trial gave a score", bundle_url=url)
    return view


def analyze(
    sweep: SweepConfig | Mapping[str, Any] | str | Path | None = None,
    *,
    data: object = None,
    target: str | None = None,
    overrides: Sequence[str] = (),
    listener: Listener = ignore,
) -> Analysis:
    """Profile a table and run the data checks; nothing is fitted but the checks' own small models.

    Args:
        sweep: a sweep file, its keys, or the address of a data file.
        data: a table in memory, or an address, instead.
        target: the column to predict; without one the checks of the target are skipped.
        overrides: `path=value` assignments.
        listener: gets every event.

    Raises:
        RequestInvalid: something that was asked for is wrong.
        DataUnsuitable: the files cannot be read as one table. Bad values are findings, no exception.
    """
    from raysweep.runtime.ray_session import ray_session
    from raysweep.stages.validate.thresholds import resolve_thresholds
    from raysweep.stages.validate.user_schema import read_user_schema

    if isinstance(sweep, str | Path) and _is_data(str(sweep)):
        sweep, data = None, sweep
    config, table = _request(sweep, data, target, overrides, {})
    resolve_thresholds(config.checks)
    schema = read_user_schema(config)
    with ray_session(config.cluster.address, loading="raysweep.examine"):
        from raysweep.examine import examine

        found = examine(config, table, listener, schema)
    name = _name_of(str(data)) if sweep is None and isinstance(data, str | Path) else config.name
    prepare = config.data.prepare
    return Analysis(DataView(name, found.table, found.profile, found.check, found.aim, found.usable, prepare))


def doctor(
    sweep: SweepConfig | Mapping[str, Any] | str | Path | None = None,
    *,
    overrides: Sequence[str] = (),
    address: str | None = None,
    tell: Callable[[Diagnosis], None] | None = None,
) -> Diagnoses:
    """What would go wrong in a sweep, before it does: request, packages, data, store, Ray; nothing is left behind.

    Args:
        sweep: a sweep file, its keys, or a config; None looks at this machine and its Ray alone.
        overrides: `path=value` assignments.
        address: of a cluster to look at, instead of `cluster.address`; at `http://head:8265`, that of its dashboard, a
            job looks from there.
        tell: gets each diagnosis as it is found.

    Raises:
        RequestInvalid, NotFound: the sweep file cannot be read. All else is a diagnosis.
    """
    config = None if sweep is None else load_config(sweep, overrides=overrides)
    told = tell or (lambda _: None)
    if address is not None and address.startswith(("http://", "https://")):
        from raysweep.job.look import look

        return look(address, config, told)
    from raysweep.diagnosis import diagnose

    return diagnose(config, told, address=address)


def submit(  # noqa: PLR0913 - a front door too
    sweep: SweepConfig | Mapping[str, Any] | str | Path,
    *,
    address: str | None = None,
    run_id: str | None = None,
    overrides: Sequence[str] = (),
    install: str = "code",
    shared_paths: bool = False,
    upload_data: bool = False,
    tell: Callable[[str], None] | None = None,
) -> SubmittedRun:
    """Run a sweep as a job of a Ray cluster; does not wait for it.

    The same call again follows the run while it is running, and goes on with it where it broke off.

    Args:
        sweep: a sweep file, its keys, or a config; its data and `export.to` lie where the cluster sees them.
        address: of the cluster's dashboard, such as `http://head:8265`; else RAY_API_SERVER_ADDRESS or RAY_ADDRESS.
        run_id: the name of the run's folder; the sweep's name when absent.
        overrides: `path=value` assignments.
        install: how raysweep gets there: `code` (what runs here), `index` (this version, by Ray), `none` (it is there).
        shared_paths: local paths are on a file system that every node sees.
        upload_data: put local data into the store, by their content.
        tell: gets a sentence for what is done.

    Raises:
        RequestInvalid: what is asked is wrong, lies on this machine alone, is published already, or runs there with
            another sweep.
        StorageFailed: data cannot be put.
        RayUnavailable: the cluster does not answer, refuses the token, or is too old.
    """
    from raysweep.job.packing import Install
    from raysweep.job.remembered import choose_address
    from raysweep.job.submission import Choices, begin

    if install not in set(Install):
        raise RequestInvalid(f"install: {install!r} is none of {', '.join(Install)}")
    choices = Choices(run_id, Install(install), shared_paths, upload_data)
    return begin(choose_address(address), sweep, overrides, choices, tell or (lambda _: None))


def attach(run: str, *, address: str | None = None) -> SubmittedRun:
    """A run that was submitted to a cluster, from anywhere: its last job.

    Args:
        run: its id.
        address: of the cluster's dashboard; else where this machine submitted it, else as in `submit`.

    Raises:
        NotFound: the cluster knows no such run.
        RayUnavailable: it does not answer, or refuses the token.
    """
    from raysweep.job.jobs_api import JobsApi
    from raysweep.job.remembered import choose_address
    from raysweep.job.submitted import find_run

    api = JobsApi(choose_address(address, run))
    api.check_cluster()
    return find_run(api, run)


def load_model(bundle: str | Path, *, s3: S3Config | Mapping[str, Any] | None = None) -> Model:
    """The model of a published bundle, verified against its manifest; imports no Ray.

    Args:
        bundle: folder, `s3://` address, an id below `runs/`, or an alias such as `runs@production`.
        s3: how to reach an S3-compatible server; the AWS environment when absent.

    Raises:
        NotFound: there is no bundle.
        BundleRefused: a file is changed, missing, or not to be trusted.
    """
    from raysweep.bundle.load import open_model
    from raysweep.bundle.locate import open_run

    model = open_model(open_run(bundle, _s3(s3)))
    if not model.verdict.startswith(Verdict.ADEQUATE.value):
        warnings.warn(f"the final check found this model {model.verdict}: {model.url}", stacklevel=2)
    return model


def verify(
    bundle: str | Path,
    *,
    data: object = None,
    key: str | Path | None = None,
    s3: S3Config | Mapping[str, Any] | None = None,
) -> Verification:
    """Check every file of a bundle, its signature, and that its model still predicts the golden rows.

    Args:
        bundle: as in `load_model`.
        data: the table that the sweep was about, in memory or its address: it must hold the same values, and its rows
            fall into the same parts when they are dealt out again, without a key in two of them. This needs Ray.
        key: the file of the Ed25519 public key that the manifest must be signed by. Without it a signature is checked
            against the key that the manifest names, which says that nothing was changed, not who signed.
        s3: how to reach an S3-compatible server.

    Raises:
        NotFound: there is no bundle, no such data, or no such key.
        BundleRefused: the manifest does not say how the rows were dealt out.
        RequestInvalid: the table lacks a column by which they were.
        DataUnsuitable: the table cannot be read.
    """
    from raysweep.bundle.locate import open_run, read_manifest
    from raysweep.bundle.signing import read_public_key
    from raysweep.bundle.verify import verify_bundle

    wanted = None if key is None else read_public_key(key)
    store = open_run(bundle, _s3(s3))
    found = verify_bundle(store, wanted)
    if data is None or not found.ok:
        return found
    manifest = read_manifest(store)
    from raysweep.runtime.ray_session import ray_session

    with ray_session(None, loading="raysweep.split_proof"):
        from raysweep.split_proof import check_split

        return replace(found, split=check_split(manifest, data, _s3(s3)))


def reproduce(
    bundle: str | Path,
    data: object = None,
    overrides: Sequence[str] = (),
    s3: S3Config | Mapping[str, Any] | None = None,
    *,
    search: bool = False,
    listener: Listener = ignore,
) -> Reproduction:
    """Carry a published sweep out again from its bundle, but for its search, and say what is the same.

    The bundle is verified; the table is read, profiled, checked and split; the winner is fitted on the same rows with
    the same params, seed, rounds and threads; its predictions on the golden rows and its scores are compared. Nothing
    is published, and it is no new use of the validation rows.

    The outcome is about what the model gives: `identical` (bit for bit), `equivalent` (predictions within 1e-6,
    of numbers within 1e-6 of their spread), `statistically the same` (the score lies in the published interval), or
    `different`. The first stage that differs is told beside it, in the order environment, data, split, checks,
    preparation, search, model, predictions, final check.
    So another version of a package that changed nothing is `identical`, with `environment` as the first difference.

    Args:
        bundle: as in `load_model`.
        data: the table, where it was held in memory; or the address where it is now, if not where it was.
        overrides: `path=value` assignments by which it is asked otherwise on purpose, such as `search.seed=1`.
        s3: how to reach an S3-compatible server.
        search: the whole search again, too; for a sweep that was asked for `search.deterministic`.
        listener: gets every event.

    Raises:
        NotFound: there is no bundle, or no such data.
        BundleRefused: it does not verify, or does not say enough to be carried out again.
        RequestInvalid: an override is wrong, or the table is wanted.
        DataUnsuitable: the table cannot be read.
        RayUnavailable: Ray does not start, or cannot give a fit the cores that it had.
    """
    from raysweep.bundle.locate import open_run
    from raysweep.reproduction.recorded import read_recorded
    from raysweep.runtime.ray_session import ray_session

    with read_recorded(open_run(bundle, _s3(s3)), data, overrides, _s3(s3)) as recorded:
        if search:
            from raysweep.reproduction.search_again import check_repeatable

            check_repeatable(recorded)
        # Where the sweep ran is no part of it: Ray here, unless it is asked for.
        is_asked = any(one.startswith("cluster.address") for one in overrides)
        address = recorded.asked.cluster.address if is_asked else None
        with ray_session(address, loading="raysweep.reproduction.reproduce") as session:
            from raysweep.reproduction.reproduce import carry_out_again

            table = None if isinstance(data, str | Path) else data
            return carry_out_again(recorded, table, session, listener, searching=search)


def predict(  # noqa: PLR0913 - a front door too
    bundle: str | Path,
    data: object,
    out: str | Path,
    *,
    columns: Sequence[str] | None = None,
    format: str | None = None,  # noqa: A002 - as the command line calls it
    overwrite: bool = False,
    s3: S3Config | Mapping[str, Any] | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Predictions:
    """Predict every row of a table, and write the rows with their predictions.

    The table is streamed, and may be larger than memory; a small one does not wait for Ray. Rows keep their order and
    their columns, and get `prediction` and, for classes, `probability_<class>`. Columns of a CSV file are read as what
    the model's signature says; others pass through as the text that they are.

    Args:
        bundle: as in `load_model`.
        data: a path, a folder, a glob, an `s3://` address, or a list of them; or a pandas DataFrame, an Arrow table, a
            Ray Dataset.
        out: a file, if its name ends like one (`.parquet`, `.csv`, `.jsonl`); else a folder or `s3://` prefix, which
            gets parts and, last, `_SUCCESS.json`.
        columns: those of the table that are kept beside the predictions; all when absent.
        format: parquet, csv or jsonl; by the name of `out`, else as the table's when absent.
        overwrite: an earlier prediction in that place may be replaced.
        s3: how to reach an S3-compatible server; the AWS environment when absent.
        progress: told the number of rows that are predicted, and of all rows where that is known.

    Raises:
        NotFound: there is no bundle, or no such table.
        BundleRefused: the bundle holds no model, or one that is not to be trusted.
        RequestInvalid: a column is missing or clashes, a value is of another kind, or the place is no good.
        DataUnsuitable: a file cannot be read.
        StorageFailed: the place does not take what is written; nothing of it stands there.
        RayUnavailable: Ray does not start, or was lost.
    """
    from raysweep.bundle.locate import open_run
    from raysweep.scoring.predict import PredictRequest, predict_table

    request = PredictRequest(
        store=open_run(bundle, _s3(s3)),
        data=data,
        out=str(out),
        columns=columns,
        format=format,
        overwrite=overwrite,
        s3=_s3(s3) or S3Config(),
        progress=progress or (lambda _done, _all: None),
    )
    return predict_table(request)


def promote(
    bundle: str | Path,
    alias: str,
    *,
    force: bool = False,
    reason: str | None = None,
    key: str | Path | None = None,
    s3: S3Config | Mapping[str, Any] | None = None,
) -> Promotion:
    """Let `candidate` or `production` be this bundle: `load_model("runs@production")` then loads it.

    The bundle is verified first. Of two that move an alias at the same time one wins, and the other is told so.

    Args:
        bundle: as in `load_model`.
        alias: candidate or production.
        force: also where the final check does not allow use; wants a reason.
        reason: why; it is recorded with the move.
        key: the file of the public key that the bundle must be signed by.
        s3: how to reach an S3-compatible server.

    Raises:
        NotFound: there is no bundle.
        BundleRefused: it does not verify, holds no model, or its verdict does not allow use.
        RequestInvalid: there is no such alias, or a reason is wanted.
        AliasMoved: somebody else has moved the alias at the same time.
        StorageFailed: the place cannot be reached, or cannot move anything safely.
    """
    from raysweep.bundle.aliases import promote_bundle
    from raysweep.bundle.signing import read_public_key

    wanted = None if key is None else read_public_key(key)
    return promote_bundle(bundle, alias, _s3(s3), force=force, reason=reason, key=wanted)


def show(run: str | Path, *, s3: S3Config | Mapping[str, Any] | None = None) -> RunView:
    """What a run left behind: verdict, leaderboard, findings; from its journal while it is not published.

    Raises:
        NotFound: there is no such run.
    """
    from raysweep.bundle.locate import open_run
    from raysweep.bundle.view import view_run

    return view_run(open_run(run, _s3(s3)))


def _check_data(config: SweepConfig, data: object, run: str | Path) -> None:
    """Refuse to go on without the table that was held in memory, or with another one than `data.source`.

    Raises:
        RequestInvalid: saying which.
    """
    is_in_memory = config.data.source == IN_MEMORY
    if is_in_memory and data is None:
        raise RequestInvalid(
            f"the table of {run} was held in memory, and is not kept: go on from Python with the same rows, "
            f"raysweep.resume({str(run)!r}, data=frame)"
        )
    if data is not None and (not is_in_memory or isinstance(data, str | Path)):
        source = "a table in memory" if is_in_memory else ", ".join(config.data.sources)
        raise RequestInvalid(f"{run} is about {source}, and goes on with that: data= cannot name another one")


def carry_out(request: SweepRequest) -> SweepResult:
    """A whole sweep, as it was asked for: what `run_sweep` and `resume` end in, with the same errors."""
    from raysweep.launch import run

    done = run(request)
    task = done.examined.check.task
    if task is None or done.split is None or done.search is None or done.confirmed is None or done.usage is None:
        raise ValueError("a sweep that ended without a final check")
    result = SweepResult(
        run_id=done.run_id,
        bundle_url=done.bundle_url,
        task=task,
        profile=TableProfile(done.examined.profile, done.examined.check.meanings),
        findings=Findings(done.examined.check.findings),
        split=done.split,
        search=done.search,
        ranking=done.ranking,
        final_check=done.confirmed.check,
        seconds=done.seconds,
        usage=done.usage,
        without_model=done.without_model,
    )
    request.tell(result.to_event())
    return result


def _request(
    sweep: SweepConfig | Mapping[str, Any] | str | Path | None,
    data: object,
    target: str | None,
    overrides: Sequence[str],
    search: Mapping[str, Any],
) -> tuple[SweepConfig, object]:
    """The resolved config, and the table in memory where there is one."""
    in_memory = None if isinstance(data, str | Path) else data
    if sweep is None and data is None:
        raise RequestInvalid("give a sweep (a file or a dict), or data=... and target=...")
    if isinstance(sweep, str | Path):  # overrides come first: they may mend the file, and start from its folder
        values = load_config(sweep, overrides=overrides).model_dump(mode="json", by_alias=True)
        return load_config(_with_arguments(values, data, target, search)), in_memory
    values = sweep.model_dump(mode="json", by_alias=True) if isinstance(sweep, SweepConfig) else dict(sweep or {})
    arguments = _with_arguments({"version": 1, **values}, data, target, search)
    return load_config(arguments, overrides=overrides), in_memory


def _with_arguments(
    values: dict[str, Any], data: object, target: str | None, search: Mapping[str, Any]
) -> dict[str, Any]:
    section = dict(values.get("data") or {})
    if isinstance(data, str | Path):
        section["source"] = str(data)
    elif data is not None:
        section["source"] = IN_MEMORY
    if target is not None:
        section["target"] = target
    merged = {**values, "data": section}
    if search:
        merged["search"] = {**(values.get("search") or {}), **search}
    return merged


def _is_data(address: str) -> bool:
    return address.lower().endswith(_DATA_ENDINGS) or Path(address).is_dir() or address.startswith("s3://")


def _name_of(address: str) -> str:
    """The name of a data file or folder, as a folder may be called: `s3://bucket/a b.csv.gz` is a-b."""
    for step in reversed(address.split("/")):
        stem = step
        while stem.lower().endswith(_DATA_ENDINGS):
            stem = stem.rpartition(".")[0]
        name = re.sub(r"[^\w.-]+", "-", stem).strip(".-")
        if name:
            return name[:_LONGEST_NAME]
    return "table"


def _s3(s3: S3Config | Mapping[str, Any] | None) -> S3Config | None:
    return S3Config.model_validate(dict(s3)) if isinstance(s3, Mapping) else s3
