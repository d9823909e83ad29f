"""A sweep: the seven stages in order. Start reading here; `launch.py` is what comes before them."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from raysweep.aftermath import resumable
from raysweep.bundle.signing import Signer
from raysweep.config import PriceConfig, SweepConfig
from raysweep.documents import plain_record
from raysweep.errors import DataUnsuitable, Interrupted, NoTrialFinished
from raysweep.events import DataChecked, Listener, Said, Stage
from raysweep.examine import Examined, examine, stage_told
from raysweep.history import History, check_same_rows, check_same_split, split_record
from raysweep.records.aims import Aims, ranked
from raysweep.records.manifest import Outcome
from raysweep.records.table import DataCheck, LearningTask, Part, Split, Suitability
from raysweep.records.trial import Capacity, Period, SearchOutcome, Trial
from raysweep.records.usage import Usage
from raysweep.report.view import ReportInput
from raysweep.request import Ready, SweepRequest
from raysweep.row_plan import plan_rows, sentences
from raysweep.run_place import begin, claim_by
from raysweep.runtime.ray_failures import ray_errors_translated
from raysweep.runtime.ray_room import check_workers
from raysweep.runtime.ray_session import RaySession
from raysweep.runtime.run_folder import RunFolder
from raysweep.space import SearchSpace
from raysweep.stages.confirm.confirm_request import Confirmed, ConfirmRequest
from raysweep.stages.confirm.production import ChampionModel
from raysweep.stages.confirm.ray_confirm import confirm_winner
from raysweep.stages.export.code_state import code_state
from raysweep.stages.export.contents import BundleContents
from raysweep.stages.export.environment import packages
from raysweep.stages.export.export import export_bundle
from raysweep.stages.export.parity import Gate
from raysweep.stages.export.publish import Claim
from raysweep.stages.profile.document import profile_document
from raysweep.stages.search.ray_nodes import count_slots
from raysweep.stages.search.ray_processes import Processes
from raysweep.stages.search.ray_search import SearchRequest, run_search
from raysweep.stages.split.ray_split import cut_table
from raysweep.stages.validate.document import findings_document, without_examples
from raysweep.stages.validate.gate import with_findings
from raysweep.stages.validate.thresholds import resolve_thresholds
from raysweep.storage.open_store import open_store
from raysweep.storage.retry import PATIENT
from raysweep.storage.run_journal import RunJournal
from raysweep.storage.secret_values import masked
from raysweep.storage.store import Store
from raysweep.training.families import fitting_space
from raysweep.training.sealed_rows import Seal


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep has found so far; what it did not come to is None.

    Attributes:
        searched_at: when the search ended, by `time.perf_counter`.
        seal: of the validation rows: for the final check alone.
        usage: of the cluster, until the bundle was written.
        without_model: why the bundle holds no model though one was checked finally.
    """

    run_id: str
    examined: Examined
    history: History = field(default_factory=History, repr=False)
    split: Split | None = None
    seal: Seal | None = field(default=None, repr=False)
    search: SearchOutcome | None = None
    ranking: tuple[Trial, ...] = ()
    confirmed: Confirmed | None = None
    searched_at: float | None = None
    usage: Usage | None = None
    bundle_url: str = ""
    without_model: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Out:
    """What a sweep works with.

    Attributes:
        folder: private, for what is on its way out.
        store: the run's place.
        journal: in that place.
        space: what it publishes of the space.
        capacity: of the cluster.
        fit: the ids of the nodes that were found to have what the driver has; None: nobody has looked.
        started: when the sweep began, by `time.perf_counter`.
        processes: for the slots of the search; some start while the table is read.
        champion: the model in production that `confirm.production` names.
        signer: of the manifest, where `export.sign` names a key.
    """

    folder: RunFolder
    store: Store
    journal: RunJournal
    space: SearchSpace
    processes: Processes
    capacity: Capacity
    started: float
    secrets: Mapping[str, str] = field(repr=False)
    champion: ChampionModel | None = None
    signer: Signer | None = None
    fit: frozenset[str] | None = None

    def claim(self, leftovers: Collection[str]) -> Claim:
        """By which this driver publishes: the whole journal is put, and nobody has taken the run over."""
        return claim_by(self.journal, leftovers)


def run_stages(request: SweepRequest, ready: Ready, session: RaySession) -> Sweep:
    """Source, profile, validate, split, search, confirm, export.

    Raises:
        DataUnsuitable, RunTakenOver, NoTrialFinished, StorageFailed: as `raysweep.launch.run`.
    """
    config, place, folder = request.config, ready.place, ready.folder
    slots = count_slots(config.search)
    if session.is_ours:
        check_workers(config.search)
    with Processes(ready.space.families) as processes:
        ours_alone = session.is_ours and not config.search.trial.gpus
        if ours_alone:  # half of them: to read the table and to load the learners takes cores, too
            processes.start_early((slots + 1) // 2)
        examined = examine(config, request.data, request.tell, ready.schema, processes.help_out)
        if ours_alone:
            processes.start_early(slots)
        check_same_rows(place.history, examined.profile)
        journal, history = begin(place, config, folder, request.tell)
        with resumable(place.store.address(), config), journal:
            check_same_rows(history, examined.profile)  # the driver before may have come to that meanwhile
            capacity = Capacity(session.cpus, session.gpus)
            out = Out(
                folder,
                place.store,
                journal,
                ready.space,
                processes,
                capacity,
                ready.started,
                ready.secrets,
                ready.champion,
                ready.signer,
                session.fit,
            )
            return _carry_out(request, Sweep(place.run_id, examined, history), out)


def _carry_out(request: SweepRequest, sweep: Sweep, out: Out) -> Sweep:
    """Split, search, confirm, export: what is written down as it happens."""
    task = sweep.examined.check.task
    if task is None:
        _export(request, sweep, out)
        raise _unsuitable(sweep.examined.check, out.store)
    sweep = _split(request, sweep, task, out)
    if sweep.examined.check.suitability is Suitability.UNSUITABLE:
        _export(request, sweep, out)
        raise _unsuitable(sweep.examined.check, out.store)
    sweep = _search(request, sweep, task, out)
    if not sweep.ranking:
        _export(request, sweep, out)
        raise _nothing_finished(sweep, out.store)
    # What will check the files of the model takes seconds to load its libraries: it does while the winner is checked.
    with Gate(request.config.export.formats, sweep.ranking[0].candidate.family) as gate:
        sweep = _confirm(request, sweep, task, out)
        return _export(request, sweep, out, gate)


def _cut(config: SweepConfig, sweep: Sweep, task: LearningTask, out: Out, tell: Listener) -> tuple[Split, Seal]:
    table = sweep.examined.table
    production = () if out.champion is None else (name for name in out.champion.columns if name in table.names)
    further = (*config.confirm.slices, *production)
    with ray_errors_translated("splitting the table"):
        thresholds = resolve_thresholds(config.checks)
        plan = plan_rows(config, task, sweep.examined.profile.rows, sweep.history.search_rows)
        split, seal = cut_table(table, plan.config, task, out.folder.path, thresholds, further=further)
    for sentence in sentences(plan, split):
        tell(Said(sentence))
    return plan.of(split), seal


def _split(request: SweepRequest, sweep: Sweep, task: LearningTask, out: Out) -> Sweep:
    """The sweep with its split, and with what the parts say of one another among its findings."""
    before, config = sweep.examined.check, request.config
    with stage_told(request.tell, Stage.SPLIT) as done:
        try:
            split, seal = _cut(config, sweep, task, out, request.tell)
            found = split.findings
        except DataUnsuitable as error:  # a part is empty: published like the gate's own verdict
            split, seal, found = None, None, tuple(error.findings)
        check = with_findings(before, found, config, datetime.now(UTC).date())
        done(_split_summary(split))
    new = tuple(finding for finding in check.findings if finding not in before.findings)
    if new:
        request.tell(DataChecked(replace(check, findings=new, proposals=())))
    for sentence in check.unused_waivers:
        request.tell(Said(sentence))
    if split is not None:
        _write_down(sweep, split, task, out.journal)
    return replace(sweep, split=split, seal=seal, examined=replace(sweep.examined, check=check))


def _write_down(sweep: Sweep, split: Split, task: LearningTask, journal: RunJournal) -> None:
    """Which rows and columns the scores are about; of a run that goes on, they have to be those of its beginning."""
    record = split_record(split, sweep.examined.profile, task)
    check_same_split(sweep.history, record)
    if sweep.history.split is None:
        journal.append(record)


def _search(request: SweepRequest, sweep: Sweep, task: LearningTask, out: Out) -> Sweep:
    if sweep.split is None:
        raise ValueError("a search needs a split")
    fitting, left_out = fitting_space(out.space, task.kind)
    if left_out:
        request.tell(Said(f"left out of the search, since they cannot learn a {task.kind} task: {', '.join(left_out)}"))
    with stage_told(request.tell, Stage.SEARCH) as done:
        asked = SearchRequest(
            task=task,
            split=sweep.split,
            space=fitting,
            tell=request.tell,
            record=lambda record: out.journal.append(plain_record(record)),
            interrupted=request.interrupted,
            answer_repeats=request.answer_repeats,
            masked=lambda text: masked(text, out.secrets),
            earlier=tuple(sweep.history.records),
            price=request.config.cluster.price_per_hour,
            processes=out.processes,
            prepared_seconds=time.perf_counter() - out.started,
            kept=out.journal.kept_states(),
            fit=out.fit,
        )
        with ray_errors_translated("searching"):
            outcome = run_search(asked, request.config.search)
        ranking = tuple(ranked(outcome.trials, task.aims))
        if ranking and task.aims.broken(ranking[0].rungs[-1].metrics):  # the best one: those that keep all come first
            request.tell(Said(_none_keeps(ranking[0], task.aims)))
        done(f"{len(outcome.trials)} trials; {outcome.stopped_by}")
    return replace(sweep, search=outcome, ranking=ranking, searched_at=time.perf_counter())


def _none_keeps(nearest: Trial, aims: Aims) -> str:
    last = nearest.rungs[-1].metrics
    bounds = ", ".join(aims.bound_text(name, last[name]) for name in aims.broken(last))
    return f"no candidate keeps search.constraints; the nearest is trial {nearest.candidate.number}: {bounds}"


def _used(sweep: Sweep, out: Out, price: PriceConfig | None) -> Usage:
    """What the cluster was used for until now."""
    now = time.perf_counter()
    if sweep.search is None or sweep.searched_at is None:
        return Usage.of((Period(out.capacity, now - out.started),), (), price)
    *before, last = sweep.search.periods
    periods = (*before, replace(last, after=now - sweep.searched_at))
    return Usage.of(periods, sweep.search.trials, price)


def _confirm(request: SweepRequest, sweep: Sweep, task: LearningTask, out: Out) -> Sweep:
    if sweep.split is None or sweep.seal is None or sweep.search is None:
        raise ValueError("a final check needs a split, its seal, and a search")
    config = request.config
    asked = ConfirmRequest(
        run_id=sweep.run_id,
        goes_on=bool(sweep.history.lineage),
        ranking=sweep.ranking,
        search=sweep.search,
        space=out.space,
        task=task,
        split=sweep.split,
        seal=sweep.seal,
        conflicts=sweep.examined.profile.conflicts,
        ledger=_ledger(request),
        clock=lambda: datetime.now(UTC),
        tell=request.tell,
        champion=out.champion,
        crew=out.processes.crew(int(out.capacity.cores) // config.search.trial.cpus),
    )
    with stage_told(request.tell, Stage.CONFIRM) as done, ray_errors_translated("checking the winner"):
        confirmed = confirm_winner(asked, config)
        out.processes.end()
        check = confirmed.check
        done(f"{check.verdict}: {check.metric} {check.score.value:.4g} on validation ({check.rows:,} rows)")
    return replace(sweep, confirmed=confirmed)


def _ledger(request: SweepRequest) -> Store:
    """Where openings of validation rows are written down: beside the exported sweeps."""
    folder = open_store(request.config.export.to, request.config.export.s3, policy=PATIENT)
    return folder.child(request.ledger) if request.ledger else folder


def _export(request: SweepRequest, sweep: Sweep, out: Out, gate: Gate | None = None) -> Sweep:
    with stage_told(request.tell, Stage.EXPORT) as done:
        sweep = replace(sweep, usage=_used(sweep, out, request.config.cluster.price_per_hour))
        contents = _contents(request.config, sweep, out.space, out.signer)
        claim = out.claim(sweep.history.announced)
        exported = export_bundle(contents, out.folder.outgoing, out.store, claim, gate)
        out.folder.remove()
        done(exported.url)
    for form in exported.formats:
        if not form.published and not exported.without_model:
            request.tell(Said(f"the model is not published as {form.name}: {form.reason}"))
    return replace(sweep, bundle_url=exported.url, without_model=exported.without_model)


def _contents(config: SweepConfig, sweep: Sweep, space: SearchSpace, signer: Signer | None) -> BundleContents:
    examined, confirmed = sweep.examined, sweep.confirmed
    check = examined.check if config.export.rows == "real" else without_examples(examined.check)
    resolved = config.model_dump(mode="json", by_alias=True)
    resolved["search"]["space"] = space.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    resolved["search"]["space"]["version"] = 1
    resolved["search"]["scheduler"] = config.search.pruning
    view = ReportInput(
        run_id=sweep.run_id,
        name=config.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        config=resolved,
        task=examined.check.task,
        profile=examined.profile,
        table=examined.table,
        check=check,
        split=sweep.split,
        search=sweep.search,
        ranking=sweep.ranking,
        final_check=None if confirmed is None else confirmed.check,
        outcome=_outcome(sweep),
        prepare=config.data.prepare,
        aim=examined.aim,
        usable=examined.usable,
        usage=sweep.usage,
    )
    return BundleContents(
        view=view,
        config=config,
        data_documents={
            "data/profile.json": profile_document(examined.profile, examined.table),
            "data/findings.json": findings_document(check),
        },
        shipped=None if confirmed is None else confirmed.shipped,
        best=() if confirmed is None else confirmed.best,
        training=None if confirmed is None else confirmed.training,
        schema=None if examined.schema is None else examined.schema.content,
        code=code_state(Path.cwd()),
        packages=packages(),
        lineage=sweep.history.lineage,
        seen=None if confirmed is None else confirmed.seen,
        signer=signer,
    )


def _outcome(sweep: Sweep) -> Outcome:
    if sweep.confirmed is not None:
        return "done"
    return "no trial finished" if sweep.search is not None else "data unsuitable"


def _split_summary(split: Split | None) -> str:
    if split is None:
        return ""
    sizes = ", ".join(f"{part.value} {split.parts[part].rows:,}" for part in Part)
    folds = f"; candidates are compared in {split.folds} folds" if split.folds > 1 else ""
    return f"{sizes} rows (validation is sealed){folds}"


def _unsuitable(check: DataCheck, store: Store) -> DataUnsuitable:
    errors = [finding for finding in check.findings if finding.severity.value == "error"]
    listed = "".join(f"\n  {one.check}: {one.message}\n    {one.advice}" for one in errors[:10])
    return DataUnsuitable(
        f"the data are {Suitability.UNSUITABLE.value}, no trial was started:{listed}",
        findings=check.findings,
        bundle_url=store.address(),
    )


def _nothing_finished(sweep: Sweep, store: Store) -> Exception:
    trials = sweep.search.trials if sweep.search is not None else ()
    if sweep.search is not None and sweep.search.interrupted:
        return Interrupted("stopped before any trial had reported a score; nothing can be chosen")
    reasons = {trial.reason for trial in trials if trial.reason}
    listed = "".join(f"\n  {reason}" for reason in sorted(reasons)[:5])
    stopped = sweep.search.stopped_by if sweep.search is not None else ""
    return NoTrialFinished(
        f"not one of {len(trials)} trials gave a score ({stopped}):{listed}\nThe trials are in {store.address()}",
        bundle_url=store.address(),
    )
