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


def wait_for(mark):
    while not mark.exists():
        time.sleep(0.02)
    return os.getpid()


def tell_from(value):
    return os.getpid(), value


def refuse():
    raise ValueError("no")


def die_once(mark):
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


class Ready:
    """A process of a crew that has nothing to load."""

    def help_out(self, function, *arguments):
        return function(*arguments)


def start():
    import ray

    return ray.remote(num_cpus=0)(Ready).remote()


def pid_of(process) -> int:
    import ray

    return ray.get(process.help_out.remote(os.getpid))


@pytest.fixture(scope="module")
def two(ray_session: None):
    """Two processes that stand ready."""
    return [start(), start()]


def test_processes_take_the_calls_and_a_free_one_takes_the_next(two, tmp_path: Path):
    crew = Crew(two, start, 2)
    slow = crew.begin(HERE, wait_for, tmp_path / "mark")
    quick = [crew.begin(HERE, sleep_and_tell, 0.0, number) for number in range(4)]
    found = [crew.get(work) for work in quick]
    (tmp_path / "mark").touch()
    assert [value for _, value in found] == [0, 1, 2, 3]
    assert len({process for process, _ in found}) == 1  # none waited behind the slow one
    assert {found[0][0], crew.get(slow)} == {pid_of(process) for process in two}


def test_a_call_that_raises_is_told_and_its_process_takes_the_next(two):
    import ray

    crew = Crew(two[:1])
    works = [crew.begin(HERE, refuse), crew.begin(HERE, sleep_and_tell, 0.0, 1)]
    with pytest.raises(ray.exceptions.RayTaskError, match="no"):
        crew.wait(works[0])
    assert crew.get(works[1])[0] == pid_of(two[0])


def test_there_are_as_many_processes_as_there_is_room_for(two):
    def processes_of(crew: Crew) -> set[int]:
        works = [crew.begin(HERE, sleep_and_tell, 0.2, number) for number in range(4)]
        return {crew.get(work)[0] for work in works}

    spare, first = [two[1]], pid_of(two[0])
    assert processes_of(Crew(two[:1], spare.pop, 2)) == {first, pid_of(two[1])}
    assert processes_of(Crew(two[:1], spare.pop, 1)) == {first}


@pytest.mark.parametrize("grows", [True, False])
def test_a_call_whose_process_dies_is_carried_out_all_the_same(grows: bool, two, tmp_path: Path):
    first = start()
    pid, crew = pid_of(first), Crew([first], [two[0]].pop if grows else None, 1)
    works = [crew.begin(HERE, die_once, tmp_path / "mark"), crew.begin(HERE, sleep_and_tell, 0.0, 1)]
    assert crew.get(works[0]) != pid
    process, value = crew.get(works[1])
    assert value == 1
    assert (process == pid_of(two[0])) == grows
    assert crew.get(crew.begin(HERE, sleep_and_tell, 0.0, 2))[1] == 2


def test_what_a_call_has_given_can_be_handed_on_and_outlives_the_processes():
    import ray

    crew = Crew([start()])
    first = crew.wait(crew.begin(HERE, sleep_and_tell, 0.0, b"x" * 1_000_000))
    second = crew.wait(crew.begin(HERE, tell_from, first))
    ray.kill(crew._idle.pop())
    assert ray.get(second)[1] == ray.get(first)


def test_without_processes_calls_are_tasks():
    import ray

    crew = Crew()
    works = [crew.begin(HERE, sleep_and_tell, 0.0, 7), crew.begin(HERE, refuse)]
    assert crew.get(works[0])[1] == 7
    with pytest.raises(ray.exceptions.RayTaskError, match="no"):
        crew.wait(works[1])


def test_only_what_was_started_early_is_kept_and_no_search_takes_it_again():
    import ray

    processes = Processes(["ridge"])
    processes.start_early(1)
    early, late = processes.take(SlotSize()), processes.take(SlotSize())
    try:
        assert not processes.give_back(late)
        assert processes.give_back(early)
        assert not processes.give_back(early)
        crew = processes.crew(1)
        assert crew._idle == [early]
        assert processes.crew(1)._idle == []
    finally:
        ray.kill(late)
