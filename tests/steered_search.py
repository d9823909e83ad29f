"""A search without processes: its trials report what follows from their params alone."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

from raysweep.config import StopConfig
from raysweep.documents import canonical_json, plain_record
from raysweep.records.aims import Aims
from raysweep.records.metric import METRICS
from raysweep.records.trial import Capacity, Period, RungReport, SlotSize
from raysweep.space import load_space
from raysweep.stages.search.attempts import SteeringRules
from raysweep.stages.search.earlier import Driver, Slots, space_digest
from raysweep.stages.search.proposals import Proposer
from raysweep.stages.search.steering import Steering
from raysweep.stages.search.trial_log import Limits, TrialLog
from raysweep.training.families import families

SPACE = {
    "ridge": {"params": {"alpha": {"float": [0.01, 100], "log": True}}},
    "k_neighbors": {"params": {"n_neighbors": {"int": [1, 40]}, "weights": {"choice": ["uniform", "distance"]}}},
}
RUNGS = 3


R2 = Aims(METRICS["r2"])


class Halving:
    """Stops what is below the mean of what it has seen at a rung."""

    def __init__(self):
        self.seen = {}
        self.running = set()

    def begin(self, number):
        self.running.add(number)

    def decide(self, number, report):
        known = self.seen.setdefault(report.rung, {})
        others = [score for other, score in known.items() if other != number]
        known[number] = report.score
        if report.is_last:
            return "the last rung"
        return "" if not others or report.score >= sum(others) / len(others) else "below the mean"

    def end(self, number):
        self.running.discard(number)


class Search:
    """A search with its journal; `slots` trials run at a time and report in a random order."""

    def __init__(self, *, batch=None, trials=30, earlier=(), seed=0, algorithm="tpe", space=None, aims=R2):
        self.records = []
        self.decider = Halving()
        loaded = load_space({"version": 1, "families": space or SPACE}, base=Path())
        proposer = Proposer(
            loaded,
            lambda family: families()[family].defaults,
            lambda _: None,
            algorithm=algorithm,
            aims=aims,
            seed=seed,
        )
        limits = Limits(StopConfig(), time.time())
        self.log = TrialLog(aims, "testing", limits, lambda _: None, self._write)
        rules = SteeringRules(trials, aims, batch, space=space_digest(loaded))
        self.steering = Steering(proposer, self.decider, self.log, rules)
        self.steering.replay(list(earlier))
        driver = Driver(Period(Capacity(2), 0.0), Slots(2, SlotSize()))
        self.log.begin(driver.slots.size, {**driver.document, "space": rules.space})

    def _write(self, record):
        self.records.append(json.loads(canonical_json(plain_record(record))))

    def take(self):
        """Begin what comes next; None where nothing can."""
        attempt = self.steering.next()
        if attempt is not None:
            self.steering.begin(attempt)
        return attempt

    def run(self, slots=1, order=0, stop_after=None):
        """Run to the end, or until so many steps are done; every attempt that was begun, by candidate."""
        rng, running, steps, begun = random.Random(order), [], 0, []
        while not self.steering.is_over:
            while len(running) < slots and (attempt := self.take()) is not None:
                running.append((attempt.candidate, 1))
                begun.append(attempt.candidate.number)
            steps += 1
            if not running or steps == stop_after:
                break
            candidate, rung = running.pop(rng.randrange(len(running)))
            if self.steering.reached(candidate.number, report_of(candidate, rung), "node"):
                running.append((candidate, rung + 1))
        return begun

    @property
    def outcome(self):
        """What must not depend on luck: candidates, their rungs, and how they ended."""
        return [
            (one.candidate.digest, tuple((r.rung, r.score) for r in one.rungs), one.state, one.reason)
            for one in self.log.trials
        ]


def report_of(candidate, rung):
    """A score that follows from the params alone."""
    alpha = candidate.params.get("alpha", candidate.params.get("n_neighbors", 1))
    score = 1 / (1 + abs(float(alpha) - 3)) * (0.9 + 0.1 * rung / RUNGS)
    return RungReport(rung, rung / RUNGS, score, {"r2": score}, 0.1, 0.1, None, rung == RUNGS)
