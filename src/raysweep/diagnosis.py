"""`raysweep doctor`: what would go wrong here, found out before a sweep finds it out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from typing import Any, Final

from raysweep.config import IN_MEMORY, SearchConfig, SweepConfig
from raysweep.documents import plain_record
from raysweep.errors import EXIT_OK, RaysweepError, RayUnavailable, RequestInvalid, StorageFailed
from raysweep.nodes.judgement import Grade

_EXTRAS: Final = {
    "onnx": ("onnx", "onnxruntime", "skl2onnx", "onnxmltools"),
    "mlflow": ("mlflow",),
    "sign": ("cryptography",),
    "pandera": ("pandera",),
}
_LITTLE_ROOM_BYTES: Final = 2 * 1024**3


class State(StrEnum):
    """What came of looking at one thing."""

    OK = "ok"
    LACKING = "lacking"  # a sweep can do without it
    FAILED = "failed"
    SKIPPED = "skipped"


_STATES: Final = {Grade.FINE: State.OK, Grade.DOUBTFUL: State.LACKING, Grade.FATAL: State.FAILED}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that was looked at.

    Attributes:
        area: cluster, request, packages, home, data, store, production, ray or nodes.
        what: of it.
        said: what was found, or what is wrong and what to do.
        permission: what to ask the owner of a bucket for; empty where the server denied nothing.
        exit_code: with which a sweep would end because of it; 0 where it would not.
    """

    area: str
    what: str
    state: State
    said: str
    permission: str = ""
    exit_code: int = EXIT_OK


@dataclass(frozen=True, slots=True)
class Diagnoses:
    """All that was looked at, in the order in which a sweep would come to it."""

    rows: tuple[Diagnosis, ...]

    @property
    def ok(self) -> bool:
        """Whether a sweep would get as far as its data."""
        return self.exit_code == EXIT_OK

    @property
    def exit_code(self) -> int:
        """That of the first thing that would end a sweep; 0 where nothing would."""
        return next((row.exit_code for row in self.rows if row.state is State.FAILED), EXIT_OK)

    def to_document(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {"ok": self.ok, "exit_code": self.exit_code, "diagnoses": plain_record(self.rows)}


Tell = Callable[[Diagnosis], None]


def diagnose(config: SweepConfig | None, tell: Tell, *, address: str | None = None) -> Diagnoses:
    """Look at everything that a sweep needs, with the same code that the sweep will use.

    Args:
        config: the sweep; None looks at this machine and its Ray alone.
        tell: gets each diagnosis as it is found.
        address: of a cluster to look at, instead of `cluster.address`.
    """
    rows: list[Diagnosis] = []
    for row in _all(config, address):
        rows.append(row)
        tell(row)
    return Diagnoses(tuple(rows))


def _all(config: SweepConfig | None, address: str | None) -> Iterator[Diagnosis]:
    if config is not None:
        yield _tried("request", config.name, lambda: _request(config))
        yield from _packages(config)
    yield _tried("home", "working folder", _home)
    if config is not None:
        yield _data(config)
        yield from _store(config)
        if config.confirm.production is not None:
            yield _tried("production", config.confirm.production, lambda: _production(config))
    yield from _ray(config, address or (None if config is None else config.cluster.address))


def _tried(area: str, what: str, look: Callable[[], str]) -> Diagnosis:
    try:
        return Diagnosis(area, what, State.OK, look())
    except RaysweepError as error:
        return Diagnosis(area, what, State.FAILED, str(error), exit_code=error.exit_code)
    except OSError as error:
        said = f"{error.filename or what}: {error.strerror or error}"
        return Diagnosis(area, what, State.FAILED, said, exit_code=StorageFailed.exit_code)


def _request(config: SweepConfig) -> str:
    from raysweep.request_check import check_asked

    space = check_asked(config).space
    if config.export.sign is not None and find_spec("cryptography") is not None:
        from raysweep.bundle.signing import read_signer

        read_signer(config.export.sign)
    return f"learns {config.data.target} with {', '.join(space.families)}"


def _packages(config: SweepConfig) -> Iterator[Diagnosis]:
    wanted: list[str] = [name for name in config.export.formats if name in _EXTRAS]
    wanted += ["sign"] if config.export.sign is not None else []
    wanted += ["pandera"] if config.checks.schema_file is not None else []
    for extra in wanted:
        missing = [name for name in _EXTRAS[extra] if find_spec(name) is None]
        what = f"raysweep[{extra}]"
        if missing:
            said = f"{', '.join(missing)} is not installed: pip install '{what}'"
            yield Diagnosis("packages", what, State.FAILED, said, exit_code=RequestInvalid.exit_code)
        else:
            yield Diagnosis("packages", what, State.OK, f"{', '.join(_EXTRAS[extra])} is installed")


def _home() -> str:
    from raysweep.runtime.run_folder import HOME_VARIABLE, make_run_folder

    folder = make_run_folder(f"doctor-{os.getpid()}")
    try:
        free = shutil.disk_usage(folder.path).free
        if free < _LITTLE_ROOM_BYTES:
            raise StorageFailed(
                f"only {free / 1024**3:.1f} GiB are free in {folder.path.parent}, where a sweep keeps sealed rows and "
                f"the files of its bundle: free some, or name a folder on another disk by {HOME_VARIABLE}"
            )
        return f"{folder.path.parent} can be written, {free / 1024**3:,.0f} GiB are free"
    finally:
        folder.remove()


def _data(config: SweepConfig) -> Diagnosis:
    if config.data.source == IN_MEMORY:
        return Diagnosis("data", IN_MEMORY, State.SKIPPED, "the table is held in memory")

    def look() -> str:
        from raysweep.stages.source.ray_source import locate

        files, file_format, _ = locate(config)
        size_bytes = sum(file.size_bytes for file in files)
        return f"{len(files):,} {file_format} file{'s' if len(files) > 1 else ''}, {size_bytes / 1024**2:,.1f} MiB"

    return _tried("data", ", ".join(config.data.sources), look)


def _store(config: SweepConfig) -> Iterator[Diagnosis]:
    from raysweep.storage.abilities import probe_abilities
    from raysweep.storage.open_store import open_store

    try:
        abilities = probe_abilities(open_store(config.export.to, config.export.s3))
    except RaysweepError as error:
        yield Diagnosis("store", config.export.to, State.FAILED, str(error), exit_code=error.exit_code)
        return
    for one in abilities:
        what = one.action.value
        if one.ok:
            yield Diagnosis("store", what, State.OK, config.export.to)
        elif not one.is_tried:
            yield Diagnosis("store", what, State.SKIPPED, one.missing)
        elif one.is_needed:
            code = StorageFailed.exit_code
            yield Diagnosis("store", what, State.FAILED, one.missing, one.to_ask_for, code)
        else:
            yield Diagnosis("store", what, State.LACKING, one.missing, one.to_ask_for)


def _production(config: SweepConfig) -> str:
    from raysweep.stages.confirm.production import find_champion

    champion = find_champion(config)
    return "" if champion is None else f"is {champion.store.address()}, a model of {champion.signature.target}"


def _ray(config: SweepConfig | None, address: str | None) -> Iterator[Diagnosis]:
    from raysweep.nodes.ray_look import Errand, Looking
    from raysweep.runtime.cluster_address import wanted_ray
    from raysweep.runtime.ray_session import ray_session

    search = SearchConfig() if config is None else config.search
    where = address or "on this machine"
    try:
        where = wanted_ray(address, os.environ).address or where
        looking = Looking(Errand() if config is None else Errand.of(config, _first_file(config)))
        with ray_session(address, "raysweep.stages.search.ray_first_process", looking.begin) as session:
            nodes = f"{session.cpus} CPUs, {session.gpus:g} GPUs; its logs are in {session.logs}"
            yield Diagnosis("ray", where, State.OK, nodes)
            for one in looking.end():
                code = one.error.exit_code if one.grade is Grade.FATAL else EXIT_OK
                yield Diagnosis("nodes", one.what, _STATES[one.grade], one.said, exit_code=code)
            yield _tried("ray", f"a trial ({_asked(search)})", lambda: _first_process(search))
    except (RayUnavailable, RequestInvalid) as error:
        yield Diagnosis("ray", where, State.FAILED, str(error), exit_code=error.exit_code)


def _first_file(config: SweepConfig) -> str | None:
    """What the nodes are to read; what is wrong with it on this machine was said before."""
    if config.data.source == IN_MEMORY:
        return None
    from raysweep.stages.source.ray_source import locate

    with suppress(RaysweepError):
        return locate(config)[0][0].address
    return None


def _asked(search: SearchConfig) -> str:
    cpus, gpus = search.trial.cpus, search.trial.gpus
    return f"{cpus} CPU{'s' if cpus > 1 else ''}" + (f", {gpus:g} GPUs" if gpus else "")


def _first_process(search: SearchConfig) -> str:
    from importlib.metadata import version

    from raysweep.stages.search.ray_first_process import start_first

    found = start_first(search)
    if found.raysweep != version("raysweep"):
        raise RayUnavailable(
            f"{found.node} has raysweep {found.raysweep}, this machine {version('raysweep')}: install the same "
            "everywhere"
        )
    at_a_time = f"{found.slots:,} at a time" if found.slots > 1 else "one at a time"
    return f"ran on {found.node} with Python {found.python}; {at_a_time}"
