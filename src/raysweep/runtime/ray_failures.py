"""What Ray raises, as our own errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import ray.exceptions

from raysweep.errors import RaysweepError, RayUnavailable


@contextmanager
def ray_errors_translated(doing: str) -> Iterator[None]:
    """Inside the block, what our own code raised on a worker is raised as itself, and a lost Ray as RayUnavailable.

    Args:
        doing: what is being done, for the message, such as `profiling the table`.

    Raises:
        RaysweepError: the first of ours in the chain of causes.
        RayUnavailable: Ray itself failed.
    """
    try:
        yield
    except Exception as error:
        # Ray makes an error of both our class and its own; its text is a traceback.
        ours = _ours_in(error)
        if ours is error:
            raise
        if ours is not None:
            raise ours from error
        if isinstance(error, ray.exceptions.RayError) and not isinstance(error, ray.exceptions.RayTaskError):
            raise RayUnavailable(f"Ray was lost while {doing}: {str(error).strip().splitlines()[0]}") from error
        raise


def _ours_in(error: BaseException) -> RaysweepError | None:
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        current = waiting.pop(0)
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        cause = getattr(current, "cause", None)
        if isinstance(current, RaysweepError) and not isinstance(current, ray.exceptions.RayTaskError):
            return current
        waiting += [
            cause if isinstance(cause, BaseException) else None,
            current.__cause__,
            current.__context__,
        ]
    return None
