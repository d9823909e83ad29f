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
from raysweep.training.kept_state import Course, KeptState
from raysweep.training.process_memory import LeakWatch, MemoryWatch, available_bytes, give_back, limit_growth
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
        rules: of a slot with a GPU; in others trials run on the CPU.
        keep_after: after so many seconds the state of a trial is kept at its rungs; None: never.
        keep_bytes: the largest state that is kept.
    """

    task: LearningTask
    rows: Any
    seed: int
    rules: TrialRules
    keep_after: float | None = None
    keep_bytes: int = 256 * 1024**2


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
        state: what the trial has come to, for another process to go on from; empty where that is not kept.
        unkept: why it is not, where it should be.
    """

    report: RungReport | None
    node: str
    failed: str = ""
    reason: str = ""
    memory: bool = False
    spoiled: tuple[str, ...] = ()
    state: bytes = b""
    unkept: str = ""


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
        self._course = Course()
        self._node = os.uname().nodename
        self._state: ProcessState | None = None
        self._memory = MemoryWatch()
        self._leaked: tuple[str, ...] = ()

    def help_out(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Do other work before the search begins, or after it: the learners are loaded here already."""
        return work(*arguments)

    def rest(self) -> None:
        """Let go of the search, and of its bound on memory."""
        limit_growth(None)
        self._reports, self._course = iter(()), Course()
        vars(self).pop("_prepared", None)
        give_back()

    def prepare(self, context: SlotContext, has_gpu: bool = False) -> Ready:
        """Take hold of the rows.

        Args:
            context: what every slot gets.
            has_gpu: whether this one holds a GPU, or a share of one.

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
        self._context = context
        device = find_device(context.rules.device if has_gpu else CPU)
        self._rules = replace(context.rules, device=device.name)
        for name in self._names:
            limit_threads(families()[name].learner, context.rules.threads)
        self._state = ProcessState()
        room = available_bytes()
        self._leak = LeakWatch(_LEAK_BYTES if room is None else int(room * _LEAK_SHARE))
        return Ready(str(ray.get_runtime_context().get_node_id()), room, device.said)

    def begin(self, candidate: Candidate, allowed: int | None, state: bytes | None = None) -> Answer:
        """Work up to the first rung of another candidate.

        Args:
            candidate: what to fit.
            allowed: how much memory it may take beyond what the process has, in bytes; None: as much as it likes.
            state: of the rung that it goes on from, which another process has kept; None: from the beginning.
        """
        self._course = Course(_start_of(state))
        self._reports = evaluate(candidate, self._prepared, self._rules, self._course)  # lets go of the one before it
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
        state, unkept = self._keep(report)
        return Answer(report, self._node, failed, reason, memory, (*spoiled, *self._leaked), state, unkept)

    def _keep(self, report: RungReport | None) -> tuple[bytes, str]:
        """What the trial has come to, or why that is not kept though it should be."""
        after = self._context.keep_after
        if report is None or report.is_last or after is None or report.seconds < after:
            return b"", ""
        try:
            kept = self._course.keep()
            content = b"" if kept is None else kept.pack()
        except Exception as error:  # noqa: BLE001 - the trial goes on without
            return b"", reason_of(error)
        if len(content) > self._context.keep_bytes:
            return b"", f"its state is {len(content):,} bytes, of which {self._context.keep_bytes:,} are kept at most"
        return content, ""


def _start_of(state: bytes | None) -> KeptState | None:
    try:
        return None if state is None else KeptState.unpack(state)
    except ValueError:  # of another version: it begins anew
        return None


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
