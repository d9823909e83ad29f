"""Calls in processes that stand ready, and as tasks where none do, or where they die."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from raysweep.records.trial import SlotSize
from raysweep.runtime.ray_crew import Crew
from raysweep.stages.search.ray_processes import Processes

pytestmark = pytest.mark.usefixtures("ray_session")

HERE = {"num_cpus": 0}


def sleep_and_tell(seconds, value):
    time.sleep(seconds)
    return os.getpid(), value


def tell_from(value):
    return os.getpid(), value


def refuse():
    raise ValueError("no")


def die_once(mark):
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def processes_of(crew: Crew, count: int) -> set[int]:
    works = [crew.begin(HERE, sleep_and_tell, 0.5, number) for number in range(count)]
    return {crew.get(work)[0] for work in works}


def started(count: int) -> tuple[Processes, set[int]]:
    processes = Processes(["ridge"])
    processes.start_early(count)
    found = processes.help_out(sleep_and_tell, [0.5] * 2 * count, 0) or []
    return processes, {process for process, _ in found} - {os.getpid()}


def test_processes_that_have_loaded_take_the_calls_and_a_free_one_takes_the_next():
    processes, pids = started(2)
    crew = processes.crew(2)
    slow = crew.begin(HERE, sleep_and_tell, 1.5, "slow")
    quick = [crew.begin(HERE, sleep_and_tell, 0.0, number) for number in range(4)]
    found = [crew.get(work) for work in quick]
    assert [value for _, value in found] == [0, 1, 2, 3]
    assert len({process for process, _ in found}) == 1  # none waited behind the slow one
    assert {found[0][0], crew.get(slow)[0]} == pids


def test_what_a_call_has_given_can_be_handed_on_and_outlives_the_processes():
    import ray

    processes, _ = started(1)
    crew = processes.crew(1)
    first = crew.wait(crew.begin(HERE, sleep_and_tell, 0.0, b"x" * 1_000_000))
    second = crew.wait(crew.begin(HERE, tell_from, first))
    del crew, processes
    time.sleep(0.5)
    assert ray.get(second)[1] == ray.get(first)


def test_a_call_that_raises_is_told_and_its_process_takes_the_next():
    import ray

    processes, pids = started(1)
    crew = processes.crew(1)
    works = [crew.begin(HERE, refuse), crew.begin(HERE, sleep_and_tell, 0.0, 1)]
    with pytest.raises(ray.exceptions.RayTaskError, match="no"):
        crew.wait(works[0])
    assert {crew.get(works[1])[0]} == pids


@pytest.mark.parametrize("grows", [True, False])
def test_a_call_whose_process_dies_is_carried_out_all_the_same(grows: bool, tmp_path: Path):
    processes, pids = started(1)
    crew = processes.crew(1) if grows else Crew(processes.crew(1)._idle)
    works = [crew.begin(HERE, die_once, tmp_path / "mark"), crew.begin(HERE, sleep_and_tell, 0.0, 1)]
    assert {crew.get(works[0])}.isdisjoint(pids)
    assert crew.get(works[1])[1] == 1
    assert crew.get(crew.begin(HERE, sleep_and_tell, 0.0, 2))[1] == 2


def test_there_are_as_many_processes_as_there_is_room_for():
    processes, pids = started(1)
    found = processes_of(processes.crew(2), 6)
    assert len(found) == 2
    assert found > pids
    processes, pids = started(1)
    assert processes_of(processes.crew(1), 3) == pids


def test_without_processes_calls_are_tasks():
    import ray

    works = [Processes(["ridge"]).crew(2).begin(HERE, sleep_and_tell, 0.0, 7), Crew().begin(HERE, refuse)]
    assert Crew().get(works[0])[1] == 7
    with pytest.raises(ray.exceptions.RayTaskError, match="no"):
        Crew().wait(works[1])


def test_only_what_was_started_early_is_kept_and_nobody_takes_it_twice():
    import ray

    processes, _ = started(1)
    early, late = processes.take(SlotSize()), processes.take(SlotSize())
    try:
        assert processes.give_back(early)
        assert not processes.give_back(early)
        assert not processes.give_back(late)
        crew = processes.crew(1)
        assert processes.take(SlotSize()) not in {early, late}
        assert crew._idle == [early]
    finally:
        ray.kill(late)
