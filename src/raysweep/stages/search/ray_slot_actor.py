"""The process of a slot: runs one candidate after the other, and keeps the encoded rows in between."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import ray

from raysweep.documents import shorten
from raysweep.errors import RequestInvalid
from raysweep.records.table import LearningTask
from raysweep.records.trial import Candidate, RungReport
from raysweep.runtime.ray_carry import Carried
from raysweep.training.canaries import check_unsealed
from raysweep.training.devices import CPU, find_device, lacks_gpu_memory
from raysweep.training.evaluate import TrialRules, evaluate, limit_threads
from raysweep.training.families import families, take_up
from raysweep.training.process_memory import LeakWatch, MemoryWatch, available_bytes, limit_growth
from raysweep.training.process_state import ProcessState, begin_anew
from raysweep.training.trial_data import PreparedRows

_MAX_ERROR_CHARACTERS: Final = 4_000
_MAX_REASON_CHARACTERS: Final = 300
_LEAK_SHARE: Final = 0.05
_LEAK_BYTES: Final = 512 * 1024**2


@dataclass(frozen=True, slots=True)
class SlotContext:
    """What every slot gets, once.

    Attributes:
        rows: reference to the `SearchRows` in the object store, read there without copying.
        seed: of the preprocessing.
    """

    task: LearningTask
    rows: Any
    seed: int
    rules: TrialRules


@dataclass(frozen=True, slots=True)
class Ready:
    """A process that can take a candidate.

    Attributes:
        node: its id.
        room: the memory that the node has to give, in bytes; None where that is not known.
        said: what the user should know of it; empty for nothing.
    """

    node: str
    room: int | None
    said: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What has become of a step: a rung that was reached, or an error.

    Attributes:
        failed: the error with its traceback, or "".
        reason: what the error says of itself, on one line.
        memory: the candidate asked for more memory than it may have.
        spoiled: what this candidate has changed in its process, or the ones before it have left there, in words; no
            other may run there.
    """

    report: RungReport | None
    node: str
    failed: str = ""
    reason: str = ""
    memory: bool = False
    spoiled: tuple[str, ...] = ()


class SlotActor:
    """Takes a candidate in and gives its rungs out, one a call; keeps nothing else of a candidate."""

    def __init__(self, names: tuple[str, ...], added: Carried) -> None:
        """Load the learners of these families, in one order, so that all processes are alike.

        Args:
            names: of all families that may come.
            added: those that raysweep does not ship.
        """
        self._refused: RequestInvalid | None = None
        try:
            take_up(added.unpack())
        except RequestInvalid as error:  # raised here, it would look like a process that has died
            self._refused = error
            return
        self._names = names
        for name in names:
            families()[name].load_learner()
        self._reports: Iterator[RungReport] = iter(())
        self._node = os.uname().nodename
        self._state: ProcessState | None = None
        self._memory = MemoryWatch()
        self._leaked: tuple[str, ...] = ()

    def help_out(self, work: Callable[[Any, Any], Any], value: Any, shared: Any) -> Any:
        """Do other work before the search begins: the learners are loaded here already."""
        return work(value, shared)

    def prepare(self, context: SlotContext) -> Ready:
        """Take hold of the rows.

        Raises:
            RequestInvalid: a family cannot be imported here.
            SealBroken: one of the rows is sealed.
            RayUnavailable: search.trial.device is cuda, and there is no GPU that works.
        """
        if self._refused is not None:
            raise self._refused
        rows = ray.get(context.rows)
        check_unsealed(rows)
        self._prepared = PreparedRows(context.task, rows, context.seed)
        on_gpu = any(families()[name].uses_gpu for name in self._names)
        device = find_device(context.rules.device if on_gpu else CPU)
        self._rules = replace(context.rules, device=device.name)
        for name in self._names:
            limit_threads(families()[name].learner, context.rules.threads)
        self._state = ProcessState()
        room = available_bytes()
        self._leak = LeakWatch(_LEAK_BYTES if room is None else int(room * _LEAK_SHARE))
        return Ready(str(ray.get_runtime_context().get_node_id()), room, device.said)

    def begin(self, candidate: Candidate, allowed: int | None) -> Answer:
        """Work up to the first rung of another candidate.

        Args:
            candidate: what to fit.
            allowed: how much memory it may take beyond what the process has, in bytes; None: as much as it likes.
        """
        self._reports = evaluate(candidate, self._prepared, self._rules)  # lets go of the one before it
        begin_anew(candidate.seed)
        leaked = self._leak.leaked_bytes(self._prepared.kept)
        self._leaked = (f"its memory ({leaked:,} bytes more)",) if leaked else ()
        limit_growth(allowed)
        self._memory = MemoryWatch()
        return self.go_on()

    def go_on(self) -> Answer:
        """Work up to the next rung. A candidate that fails is a result too: its error is told, not raised."""
        report, failed, reason, memory = None, "", "", False
        try:
            report = replace(next(self._reports), memory_bytes=self._memory.peak_bytes())
        except BaseException as error:  # noqa: BLE001 - a failed trial is data, whatever its code raises
            limit_growth(None)  # telling of it takes memory too
            failed, reason, memory = _describe(error), reason_of(error), is_memory_error(error)
        spoiled = self._state.changed() if self._state is not None else ()
        return Answer(report, self._node, failed, reason, memory, (*spoiled, *self._leaked))


def is_memory_error(error: BaseException) -> bool:
    """Whether it was raised for want of memory, in Python, in native code or on a GPU."""
    text = _text_of(error)
    return isinstance(error, MemoryError) or "std::bad_alloc" in text or lacks_gpu_memory(text)


def reason_of(error: BaseException) -> str:
    """`ValueError: what it says`, on one line."""
    first = next((line.strip() for line in _text_of(error).splitlines() if line.strip()), type(error).__name__)
    return shorten(first, _MAX_REASON_CHARACTERS)


def _text_of(error: BaseException) -> str:
    return _printable("".join(traceback.format_exception_only(error)))


def _describe(error: BaseException) -> str:
    return _printable("".join(traceback.format_exception(error)))[-_MAX_ERROR_CHARACTERS:]


def _printable(text: str) -> str:
    """The text with what is no character, such as bytes of a file's name, written out: the journal is UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
