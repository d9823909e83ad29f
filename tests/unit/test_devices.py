"""Where a fit runs: what is asked, what is there, and whether a GPU has room for it (as far as no GPU is needed)."""

from __future__ import annotations

import pytest

from raysweep.config import load_config
from raysweep.errors import RayUnavailable, RequestInvalid
from raysweep.request_check import check_asked
from raysweep.stages.confirm.ledger import sweep_digest
from raysweep.training import devices
from raysweep.training.devices import (
    CPU,
    CUDA,
    GpuMemory,
    check_gpu_memory,
    find_device,
    fit_bytes,
    gpu_memory,
    lacks_gpu_memory,
    sharing_of,
)

GIB = 1024**3
SMI = """#!/bin/sh
echo "0, GPU-aaaa-1, 81559, 1000"
echo "1, GPU-bbbb-2, 40960, 30000"
echo "2, GPU-cccc-3, [N/A], [N/A]"
"""


def sweep(**trial):
    return load_config({"version": 1, "data": {"source": "memory:x", "target": "y"}, "search": {"trial": trial}})


def test_auto_wants_a_gpu_where_one_is_asked_for():
    assert sweep().search.trial.wanted_device == CPU
    assert sweep(gpus=0.5).search.trial.wanted_device == "auto"
    assert sweep(gpus=1, device="cuda").search.trial.wanted_device == CUDA
    assert sweep(gpus=1, device="cpu").search.trial.wanted_device == CPU


def test_cuda_without_a_gpu_is_a_wrong_request():
    with pytest.raises(RequestInvalid, match=r"set search\.trial\.gpus") as raised:
        sweep(device="cuda")

    assert raised.value.exit_code == 2


def test_workers_that_no_family_can_use_are_a_wrong_request():
    config = load_config(
        {
            "version": 1,
            "data": {"source": "memory:x", "target": "y"},
            "search": {"trial": {"workers": 2}, "space": {"version": 1, "families": {"random_forest": {}}}},
        }
    )
    with pytest.raises(RequestInvalid, match=r"search\.trial\.workers is 2, but no fit of random_forest.*xgboost"):
        check_asked(config)


def test_a_ledger_knows_a_sweep_from_before_these_keys():
    plain = sweep()

    assert sweep_digest(plain) == sweep_digest(sweep(device="auto", workers=1))
    assert sweep_digest(plain) != sweep_digest(sweep(workers=2))


@pytest.mark.skipif(not devices.why_no_gpu(), reason="there is a GPU here")
def test_without_a_gpu_the_fit_falls_back_and_says_so_or_fails():
    found = find_device("auto")

    assert found.name == CPU
    assert "fits run on the CPU although search.trial.gpus asks for a GPU" in found.said
    assert find_device(CPU).said == ""
    with pytest.raises(RayUnavailable, match=r"search\.trial\.device is cuda, but"):
        find_device(CUDA)


@pytest.fixture
def smi(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text(SMI)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return monkeypatch


@pytest.mark.parametrize(
    ("visible", "free"), [("0", 1000), ("1,0", 30000), ("GPU-bbbb", 30000), ("2", None), ("MIG-1", None)]
)
def test_the_memory_is_that_of_the_gpu_that_is_visible(smi, visible, free):
    smi.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = gpu_memory()

    assert (None if found is None else found.free) == (None if free is None else free * 1024**2)


def test_without_the_tool_nothing_is_known_and_nothing_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))

    assert gpu_memory() is None
    check_gpu_memory(10**15, 1, None)


def test_a_fit_for_which_there_is_no_room_is_a_memory_error():
    needed = fit_bytes(20_000_000, 50, 256)

    assert GIB < needed < 4 * GIB
    check_gpu_memory(needed, 1, GpuMemory(80 * GIB, 40 * GIB))
    with pytest.raises(MemoryError, match="1,024 MiB are free"):
        check_gpu_memory(needed, 1, GpuMemory(80 * GIB, GIB))
    with pytest.raises(MemoryError, match=r"times 4 that share it by search\.trial\.gpus"):
        check_gpu_memory(needed, sharing_of(0.25), GpuMemory(8 * GIB, 7 * GIB))


def test_more_classes_and_bins_take_more():
    assert fit_bytes(10**6, 10, 256, 20) > 3 * fit_bytes(10**6, 10, 256) - 2 * fit_bytes(0, 10, 256)
    assert fit_bytes(10**6, 10, 1024) > fit_bytes(10**6, 10, 64)


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        ("Memory allocation error on worker 0: bad_alloc: cudaErrorMemoryAllocation: out of memory", True),
        ("XGBoostError: label must be in [0,1]", False),
    ],
)
def test_a_gpu_that_is_full_is_known_by_its_words(text, lacks):
    assert lacks_gpu_memory(text) is lacks
