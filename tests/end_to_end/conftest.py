"""A home of its own for raysweep outside of any checkout, warm processes, and the command line in this process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from raysweep.stages.export import parity
from warm_processes import WarmSlots, forked_gates


@dataclass(frozen=True)
class Ran:
    """What a command came to."""

    code: int
    out: str
    err: str


RAY_COPIES_ITS_SETTINGS = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context")
WHOLE_TABLES = pytest.mark.filterwarnings("ignore::raysweep.bundle.deviations.InputDeviation")  # no fit has seen them


WARM_SLOTS = WarmSlots()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(RAY_COPIES_ITS_SETTINGS)
            item.add_marker(WHOLE_TABLES)


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    if nextitem is None or nextitem.path.parent != item.path.parent:
        WARM_SLOTS.end()


@pytest.fixture(scope="session")
def gates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ...]]:
    """The command that has the parity gate's process forked."""
    with forked_gates(tmp_path_factory.mktemp("gates")) as command:
        yield command


@pytest.fixture(scope="module", autouse=True)
def warm_processes(gates: tuple[str, ...], ray_session: None) -> Iterator[None]:
    """Sweeps here are about other things than how their processes start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parity, "COMMAND", gates)
        WARM_SLOTS.use(patch)
        yield


@pytest.fixture(scope="session")
def raysweep_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAYSWEEP_HOME", str(home))
        yield home


@pytest.fixture(scope="module", autouse=True)
def plain_folder(tmp_path_factory: pytest.TempPathFactory, raysweep_home: Path) -> Iterator[Path]:
    """Sweeps run in a folder that is no git checkout."""
    folder = tmp_path_factory.mktemp("work")
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


@pytest.fixture(autouse=True)
def _leaves_no_working_folder(raysweep_home: Path, plain_folder: Path) -> Iterator[None]:
    yield
    left = list((raysweep_home / "runs").glob("*"))
    assert left == []


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """`command("run", "sweep.yaml")` in this process, in the test's own folder."""
    from raysweep.cli.main import main

    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Ran:
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Ran(int(left.value.code or 0), captured.out, captured.err)

    return call
