"""Predictions as one thread computes them: sums of floats depend on who adds them up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import threadpool_limits

from raysweep.training.pipeline import Pipeline


@contextmanager
def one_thread(pipeline: Pipeline) -> Iterator[None]:
    """Let a fitted pipeline predict with one thread meanwhile."""
    estimator: Any = getattr(pipeline.learner, "fitted", None)
    before = getattr(estimator, "n_jobs", None)
    with threadpool_limits(1):
        try:
            if before is not None:
                estimator.n_jobs = 1
            yield
        finally:
            if before is not None:
                estimator.n_jobs = before
