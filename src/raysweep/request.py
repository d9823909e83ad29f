"""What a sweep is asked for, and what stands ready once that was checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from raysweep.bundle.signing import Signer
from raysweep.config import SweepConfig
from raysweep.events import Listener
from raysweep.run_place import Earlier, Place
from raysweep.runtime.run_folder import RunFolder
from raysweep.space import SearchSpace
from raysweep.stages.validate.user_schema import UserSchema

if TYPE_CHECKING:
    from raysweep.stages.confirm.production import ChampionModel


@dataclass(frozen=True, slots=True)
class SweepRequest:
    """What a sweep is asked for.

    Attributes:
        config: the resolved sweep.
        data: a table in memory instead of `data.source`, or None.
        run_id: the name of the run's folder; None makes one.
        tell: gets the events.
        interrupted: whether the user has asked to finish with what there is.
        answer_repeats: a candidate that is proposed again gets its known score, not another trial.
        earlier: the run that this one goes on with; None for a new one, or one that `run_id` finds in its place.
        ledger: prefix of the ledger of openings below `export.to`; empty for the one of all sweeps there.
    """

    config: SweepConfig
    data: object
    run_id: str | None
    tell: Listener
    interrupted: Callable[[], bool]
    answer_repeats: bool = True
    earlier: Earlier | None = None
    ledger: str = ""


@dataclass(frozen=True, slots=True)
class Ready:
    """A request that was checked, and the places that were taken for it.

    Attributes:
        space: with every family of it known.
        schema: what `checks.schema` says, if anything.
        folder: private, for what is on its way out.
        started: when the sweep began, by `time.perf_counter`.
        secrets: of this process's environment, by the variables' names.
        champion: the model in production that `confirm.production` names.
        signer: of the manifest, where `export.sign` names a key.
        first_file: of the source; None where the table is held in memory.
    """

    space: SearchSpace
    schema: UserSchema | None
    place: Place
    folder: RunFolder
    started: float
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    champion: ChampionModel | None = None
    signer: Signer | None = None
    first_file: str | None = None
