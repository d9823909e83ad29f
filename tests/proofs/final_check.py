"""400 simulated sweeps: intervals hold the truth, good models pass, and noise does not: `make proofs`.

    python tests/proofs/final_check.py [--seeds 0-399]

Seeds 0 to 199 have something to learn, 200 to 399 nothing. The truth is what the model that ships scores on 50,000
fresh rows of the same generator. Exits 1 where a bound is missed:

- 92 to 98 % of all 95 % intervals hold the truth; of a part of the sweeps so many that chance explains the rest;
- of the good sweeps at most 5 % are called not adequate, or refused, although their model is truly better than the
  dummy and not truly worse than the default;
- of the noise sweeps at most 5 % are called adequate.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.update({"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"})

import numpy as np
from scipy.stats import binom

from raysweep.records.final_check import Comparison, Gate, Outcome, Verdict
from raysweep.records.metric import METRICS
from raysweep.records.model_facts import Estimate
from raysweep.runtime.ray_session import ray_session
from simulated_sweeps import FRESH_ROWS, Simulated, Truth, simulate, start_process
from simulated_tables import GOOD, NOISE, make_world

HELD: Final = (0.92, 0.98)
MAX_FALSE: Final = 0.05
CHANCE: Final = 0.005
Pair = tuple[Estimate, float]


def main() -> int:
    """Run the sweeps, print a line for each and the table, and give 1 where a bound is missed."""
    seeds = seeds_asked()
    done: list[Simulated] = []
    print(f"{'seed':>4}  {'kind':<36}{'verdict':<24}{'score':<34}{'truth':>8}  {'off':>5}  held  seconds")
    with tempfile.TemporaryDirectory(prefix="raysweep-proof-") as folder:
        os.environ["RAYSWEEP_HOME"] = str(Path(folder) / "home")
        os.chdir(folder)
        with ray_session(None):
            process = start_process()
            for seed in seeds:
                ready, process = process, start_process()  # the next one loads meanwhile
                started = time.perf_counter()
                place = Path(folder) / str(seed)
                place.mkdir(mode=0o700)
                done.append(simulate(make_world(seed), place, ready))
                print(line_of(done[-1], time.perf_counter() - started), flush=True)
    return int(not all([show_intervals(done), show_good(done), show_noise(done)]))


def seeds_asked() -> range:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", default=f"{GOOD.start}-{NOISE.stop - 1}")
    first, _, last = parser.parse_args().seeds.partition("-")
    return range(int(first), int(last or first) + 1)


def kind_of(one: Simulated) -> str:
    world = one.world
    further = [f"{one.folds} folds"] if one.folds > 1 else []
    further += ["groups"] if world.group_rows else []
    further += ["weights"] if world.is_weighted else []
    return " ".join(["good" if world.seed in GOOD else "noise", world.metric, *further])


def line_of(one: Simulated, seconds: float) -> str:
    start = f"{one.world.seed:>4}  {kind_of(one):<36}"
    if one.check is None or one.truth is None:
        return f"{start}refused: {one.refused}  {seconds:.1f}"
    score, truth = one.check.score, one.truth.model[one.world.metric]
    interval = f"{score.value:.4f} [{score.low:.4f}, {score.high:.4f}]"
    held = "yes" if holds((score, truth)) else "NO"
    start = f"{start}{one.check.verdict.value:<24}{interval:<34}"
    return f"{start}{truth:>8.4f}  {off((score, truth)):>+5.1f}  {held:<4}  {seconds:>7.1f}"


def holds(pair: Pair) -> bool:
    return pair[0].low <= pair[1] <= pair[0].high


def off(pair: Pair) -> float:
    """By how many standard errors the number lies above the truth."""
    return (pair[0].value - pair[1]) / pair[0].standard_error if pair[0].standard_error else 0.0


def show_intervals(done: Sequence[Simulated]) -> bool:
    """How many intervals hold the truth; whether they are as many as they should be."""
    print(f"\n{'95 % intervals that hold the truth':<40}{'of':>5}{'held':>6}{'share':>9}   off: mean, spread")
    found = [show_part("all", done, sweeps_score, lambda share, _: HELD[0] <= share <= HELD[1])]
    found += [show_part(name, part, sweeps_score, explained) for name, part in parts_of(done)]
    print("for information: every metric in every sweep of its tasks, and gains")
    for name in METRICS:
        show_part(f"  {name}", done, lambda one, name=name: metric_of(one, name))
    for against in ("dummy", "default"):
        show_part(f"  gain over the {against}", done, lambda one, against=against: gain_over(one, against))
    return all(found)


def parts_of(done: Sequence[Simulated]) -> Iterator[tuple[str, list[Simulated]]]:
    ways: list[Callable[[Simulated], str]] = [
        lambda one: "good" if one.world.seed in GOOD else "noise",
        lambda one: one.world.task,
        lambda one: one.world.metric,
        lambda one: "rows in groups" if one.world.group_rows else "single rows",
        lambda one: f"regression, {one.world.tails} noise" if one.world.task == "regression" else "",
    ]
    for way in ways:
        for name in sorted({way(one) for one in done} - {""}):
            yield name, [one for one in done if way(one) == name]


def show_part(
    name: str,
    part: Iterable[Simulated],
    pair_of: Callable[[Simulated], Pair | None],
    is_enough: Callable[[float, int], bool] | None = None,
) -> bool:
    pairs = [pair for one in part if (pair := pair_of(one)) is not None]
    if not pairs:
        return True
    held = sum(map(holds, pairs))
    is_good = is_enough is None or is_enough(held / len(pairs), len(pairs))
    distances = np.array([off(pair) for pair in pairs])
    numbers = f"{len(pairs):>5}{held:>6}{held / len(pairs):>9.1%}   {distances.mean():+.2f}, {distances.std():.2f}"
    print(f"{name:<40}{numbers}{'' if is_good else '   MISSED'}")
    return is_good


def explained(share: float, count: int) -> bool:
    """Whether so many would be no surprise where the bounds are kept."""
    held = round(share * count)
    too_few, too_many = binom.cdf(held, count, HELD[0]) < CHANCE, binom.sf(held - 1, count, HELD[1]) < CHANCE
    return not too_few and not too_many


def sweeps_score(one: Simulated) -> Pair | None:
    return metric_of(one, one.world.metric)


def metric_of(one: Simulated, name: str) -> Pair | None:
    if one.check is None or one.truth is None or name not in one.check.metrics or name not in one.truth.model:
        return None
    return one.check.metrics[name], one.truth.model[name]


def gain_over(one: Simulated, against: str) -> Pair | None:
    compared = comparison(one, against)
    if compared is None or one.truth is None:
        return None
    return compared.gain, true_gain(one.truth, against, one.world.metric)


def comparison(one: Simulated, against: str) -> Comparison | None:
    compared = () if one.check is None else one.check.comparisons
    return next((found for found in compared if found.against == against), None)


def true_gain(truth: Truth, against: str, metric: str) -> float:
    other = truth.default if against == "default" and truth.default is not None else truth.dummy
    return METRICS[metric].sign * (truth.model[metric] - other[metric])


def show_good(done: Sequence[Simulated]) -> bool:
    """What is said of sweeps with something to learn; whether false alarms are few."""
    good = [one for one in done if one.world.seed in GOOD]
    if not good:
        return True
    print(f"\n{len(good)} good sweeps: {counted(good)}")
    false = [one for one in good if is_false_alarm(one)]
    for one in good:
        if one.check is None or not one.check.verdict.allows_use:
            print(f"  {one.world.seed} {kind_of(one)}: {'FALSE ' if one in false else ''}{said_of(one)}")
    gates = Counter((gate.name, gate.outcome.value) for one in good for gate in wanting(one))
    for (name, outcome), count in sorted(gates.items()):
        print(f"  gate {name}: {outcome} in {count} ({count / len(good):.1%})")
    is_good = len(false) <= MAX_FALSE * len(good)
    print(f"false alarms: {len(false)} of {len(good)}, at most {MAX_FALSE:.0%} allowed{'' if is_good else '   MISSED'}")
    return is_good


def show_noise(done: Sequence[Simulated]) -> bool:
    """What is said of sweeps with nothing to learn; whether few are called adequate."""
    noise = [one for one in done if one.world.seed in NOISE]
    if not noise:
        return True
    print(f"\n{len(noise)} noise sweeps: {counted(noise)}")
    false = [one for one in noise if one.check is not None and one.check.verdict.allows_use]
    for one in false:
        print(f"  {one.world.seed} {kind_of(one)}: FALSE {said_of(one)}")
    is_good = len(false) <= MAX_FALSE * len(noise)
    words = f"called adequate: {len(false)} of {len(noise)}, at most {MAX_FALSE:.0%} allowed"
    print(f"{words}{'' if is_good else '   MISSED'}")
    return is_good


def counted(sweeps: Sequence[Simulated]) -> str:
    verdicts = Counter("refused" if one.check is None else one.check.verdict.value for one in sweeps)
    return ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())


def is_false_alarm(one: Simulated) -> bool:
    """Whether a model is refused that is truly better than the dummy and not truly worse than the default."""
    if one.check is None or one.truth is None:
        return True
    if one.check.verdict is not Verdict.NOT_ADEQUATE:
        return False
    metric, default = one.world.metric, comparison(one, "default")
    if true_gain(one.truth, "dummy", metric) <= 0:
        return False
    if default is None:
        return True
    noise = default.gain.standard_error * np.sqrt(one.check.rows / FRESH_ROWS)  # of the truth
    return bool(true_gain(one.truth, "default", metric) >= -2 * noise)


def wanting(one: Simulated) -> list[Gate]:
    gates = () if one.check is None else one.check.gates
    return [gate for gate in gates if gate.outcome is not Outcome.PASSED]


def said_of(one: Simulated) -> str:
    """The verdict, why, and what is true."""
    if one.check is None or one.truth is None:
        return f"refused: {one.refused}"
    hard = [gate for gate in wanting(one) if gate.outcome is not Outcome.WARNING] or wanting(one)
    reasons = "; ".join(f"{gate.name}: {gate.reason}" for gate in hard)
    gains = ", ".join(
        f"over the {found.against} {true_gain(one.truth, found.against, one.world.metric):+.4f}"
        for found in one.check.comparisons
    )
    return f"{one.check.verdict.value} ({reasons}); true gain {gains}"


if __name__ == "__main__":
    sys.exit(main())
