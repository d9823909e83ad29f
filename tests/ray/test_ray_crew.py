"""Calls in processes that stand ready, and as tasks where none do, or where they die."""

from __future__ import annotations

import os
import resource
import signal
import time
from pathlib import Path

import pytest

from raysweep.records.trial import SlotSize
from raysweep.runtime.ray_crew import Crew
from raysweep.stages.search.ray_processes import Processes
from raysweep.training.process_memory import limit_growth

pytestmark = pytest.mark.usefixtures("ray_session")

HERE = {"num_cpus": 0}


def sleep_and_tell(seconds, value):
    time.sleep(seconds)
    return os.getpid(), value


def wait_for(mark):
    while not mark.exists():
        time.sleep(0.02)
    return os.getpid()


def meet(folder, one, other):
    (folder / str(one)).touch()
    return wait_for(folder / str(other))


def memory_bound():
    return os.getpid(), resource.getrlimit(resource.RLIMIT_DATA)[0]


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

    def rest(self):
        """There is nothing to let go of."""

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

    crew = Crew(two[:1], start, 1)
    works = [crew.begin(HERE, refuse), crew.begin(HERE, sleep_and_tell, 0.0, 1)]
    with pytest.raises(ray.exceptions.RayTaskError, match="no"):
        crew.wait(works[0])
    assert crew.get(works[1])[0] == pid_of(two[0])


def test_another_process_starts_while_calls_wait_and_there_is_room(two, tmp_path: Path):
    crew = Crew(two[:1], two[1:].pop, 2)
    works = [crew.begin(HERE, meet, tmp_path, one, other) for one, other in ((0, 1), (1, 0))]
    assert {crew.get(work) for work in works} == {pid_of(process) for process in two}
    crew = Crew(two[:1], start, 1)
    works = [crew.begin(HERE, sleep_and_tell, 0.7, number) for number in range(3)]
    assert [crew.get(work) for work in works] == [(pid_of(two[0]), number) for number in range(3)]


def test_where_none_is_left_others_are_started(two, tmp_path: Path):
    crew = Crew((), two.copy().pop, 1)
    assert crew.get(crew.begin(HERE, sleep_and_tell, 0.0, 1)) == (pid_of(two[1]), 1)


@pytest.mark.parametrize("room", [1, 2])
def test_a_call_whose_process_dies_is_carried_out_all_the_same(room: int, two, tmp_path: Path):
    first = start()
    pid, crew = pid_of(first), Crew([first], two[:1].pop, room)
    works = [crew.begin(HERE, die_once, tmp_path / "mark"), crew.begin(HERE, sleep_and_tell, 0.0, 1)]
    assert crew.get(works[0]) != pid
    assert crew.get(works[1]) == (pid_of(two[0]), 1)


def test_processes_that_do_not_start_are_not_tried_for_ever():
    import ray

    def broken():
        process = start()
        ray.kill(process)
        return process

    crew = Crew([broken()], broken, 2)
    works = [crew.begin(HERE, sleep_and_tell, 0.0, number) for number in range(3)]
    assert [crew.get(work)[1] for work in works] == [0, 1, 2]


def test_what_a_call_has_given_can_be_handed_on_and_outlives_the_processes():
    import ray

    process = start()
    crew = Crew([process], start, 1)
    first = crew.wait(crew.begin(HERE, sleep_and_tell, 0.0, b"x" * 1_000_000))
    second = crew.wait(crew.begin(HERE, tell_from, first))
    ray.kill(process)
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
    with processes:
        processes.start_early(1)
        early, late = processes.take(SlotSize()), processes.take(SlotSize())
        pid = pid_of(early)
        ray.get(early.help_out.remote(limit_growth, 10**9))
        assert not processes.give_back(late)
        assert processes.give_back(early)
        assert not processes.give_back(early)
        crew = processes.crew(1)
        assert crew.get(crew.begin(HERE, memory_bound)) == (pid, resource.RLIM_INFINITY)
        assert processes.take(SlotSize()) not in {early, late}
    with pytest.raises(ray.exceptions.RayActorError):
        pid_of(early)
    ray.kill(late)
