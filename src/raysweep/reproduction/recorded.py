"""What a bundle recorded of its sweep, read back so that the sweep can be carried out again."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from raysweep.bundle.locate import read_manifest
from raysweep.bundle.verify import PREDICTIONS, verify_bundle
from raysweep.config import IN_MEMORY, S3Config, SweepConfig, load_config
from raysweep.errors import BundleRefused, RequestInvalid
from raysweep.records.final_check import FinalCheck
from raysweep.records.manifest import Manifest
from raysweep.records.published_check import read_final_check_document
from raysweep.records.trial import Candidate, RungReport, Trial, TrialState
from raysweep.stages.source.file_schema import said_of
from raysweep.storage.store import Store
from raysweep.training.families import families

_CONFIG_FOLDER: Final = "config/"
_SWEEP_FILE: Final = "config/sweep.yaml"
_PARAMS_FILE: Final = "config/params.json"
_FINAL_CHECK_FILE: Final = "final_check.json"


@dataclass(frozen=True, slots=True)
class Recorded:
    """A bundle, whole and unchanged, and what its files say.

    Attributes:
        config: as the sweep was asked.
        asked: the same with what is asked otherwise now, and the place where its table is now.
        profile, findings: of `data/`.
        winner: the trial that won, with the rounds that the search found; None where there is none.
        final_check: None where there was none.
    """

    store: Store = field(repr=False)
    manifest: Manifest = field(repr=False)
    config: SweepConfig
    asked: SweepConfig
    profile: Mapping[str, Any] = field(repr=False)
    findings: Mapping[str, Any] = field(repr=False)
    winner: Trial | None
    final_check: FinalCheck | None = field(repr=False)


@contextmanager
def read_recorded(
    store: Store, data: object, overrides: Sequence[str], s3: S3Config | None = None
) -> Iterator[Recorded]:
    """The bundle of a store, verified; the files that its config names exist as long as the block runs.

    Args:
        store: of the bundle.
        data: a table in memory, or the address where the sweep's table is now; None for where it was.
        overrides: `path=value` assignments.
        s3: how to reach an `s3://` address, where that is not as the sweep says.

    Raises:
        NotFound: there is no bundle.
        BundleRefused: it does not verify, or does not say what its sweep was asked.
        RequestInvalid: an override is wrong; or the table was held in memory, and is not given.
    """
    manifest = read_manifest(store)
    if manifest.model is not None:
        _refuse_unknown(manifest.model.family, store)
    verified = verify_bundle(store)
    if any(
        not row.ok and row.path != PREDICTIONS for row in verified.rows
    ):  # what it predicts here is what is looked at
        raise BundleRefused(
            f"{store.address()} is not as it was published, so there is nothing to carry out again",
            problems=verified.problems,
        )
    known = {artifact.path for artifact in manifest.artifacts}
    if _SWEEP_FILE not in known:
        raise BundleRefused(f"{store.address()} holds no {_SWEEP_FILE}: it does not say what its sweep was asked")
    with tempfile.TemporaryDirectory(prefix="raysweep-reproduce-") as folder:
        for path in sorted(one for one in known if one.startswith(_CONFIG_FOLDER)):
            store.download(path, Path(folder) / path)
        sweep_file = Path(folder) / _SWEEP_FILE
        config = load_config(sweep_file)
        asked = _with_data(_asked(config, overrides), data, s3)
        _check_data(asked, data, store)
        found = Recorded(
            store,
            manifest,
            config,
            asked,
            profile=_read(store, "data/profile.json", known),
            findings=_read(store, "data/findings.json", known),
            winner=_winner(store, known),
            final_check=_final_check(store, known),
        )
        with said_of("--data") if isinstance(data, str | Path) else nullcontext():
            yield found


def _asked(config: SweepConfig, overrides: Sequence[str]) -> SweepConfig:
    """What is wrong with it now is so by the overrides, whose values may be secret."""
    try:
        return load_config(config, overrides=overrides)
    except RequestInvalid as error:
        place = ", ".join(f"--set {one.partition('=')[0]}" for one in overrides)
        said = str(error).removeprefix("the sweep")
        raise RequestInvalid(place + said if said != str(error) else said, problems=error.problems) from error


def _with_data(config: SweepConfig, data: object, s3: S3Config | None) -> SweepConfig:
    """The config with the place where its table is now."""
    values = config.model_dump(mode="json", by_alias=True)
    if s3 is not None:
        values["data"]["s3"] = s3.model_dump(mode="json")
    if isinstance(data, str | Path):
        values["data"]["source"] = str(data)
        values["data"]["format"] = None if Path(str(data)).suffix else config.data.format
    return load_config(values)


def _check_data(asked: SweepConfig, data: object, store: Store) -> None:
    if data is None and IN_MEMORY in asked.data.sources:
        raise RequestInvalid(
            f"the table of {store.address()} was held in memory, and is not kept: give the same rows, from Python as "
            f"raysweep.reproduce({store.address()!r}, data=frame), or by --data as a file that holds them"
        )


def _read(store: Store, path: str, known: set[str]) -> dict[str, Any]:
    if path not in known:
        return {}
    document: dict[str, Any] = json.loads(store.get(path))
    return document


def _winner(store: Store, known: set[str]) -> Trial | None:
    """The trial of `config/params.json`."""
    said = _read(store, _PARAMS_FILE, known)
    if not said:
        return None
    try:
        scores = dict(said["scores"])
        candidate = Candidate(
            said["trial"], said["family"], said["params"], said["params_digest"], said["origin"], said["seed"]
        )
        score = scores[scores.pop("metric")]
        metrics = {name: value for name, value in scores.items() if name != "part"}
        rung = RungReport(1, 1.0, score, metrics, 0.0, 0.0, rounds=said["rounds"], is_last=True)
    except (KeyError, TypeError) as error:
        raise BundleRefused(
            f"{store.address(_PARAMS_FILE)} does not say which candidate won as raysweep writes it: {error!r} is "
            "missing or of another kind"
        ) from error
    _refuse_unknown(candidate.family, store)
    return Trial(candidate, TrialState.COMPLETE, (rung,))


def _refuse_unknown(family: str, store: Store) -> None:
    """Code that a bundle names is never imported because it does."""
    if family not in families():
        raise BundleRefused(
            f"{store.address()}: the winner is of the family {family!r}, which this process does not know. "
            "Import the estimator and call raysweep.register_family as the sweep did, or install the package that "
            "has it as an entry point"
        )


def _final_check(store: Store, known: set[str]) -> FinalCheck | None:
    said = _read(store, _FINAL_CHECK_FILE, known)
    try:
        return read_final_check_document(said) if said else None
    except (TypeError, ValueError) as error:
        raise BundleRefused(f"{store.address(_FINAL_CHECK_FILE)} is not as raysweep writes it: {error}") from error
