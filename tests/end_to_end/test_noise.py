"""Noise is never called adequate: one seed of what `make proofs` does with twenty."""

from __future__ import annotations

from pathlib import Path

from sweep_builders import ACCEPT_NOISE, noise_table, quick_space, run_quietly, sweep_keys


def test_noise_is_not_adequate(ray_session: None, tmp_path: Path):
    search = {"trials": 10, "space": quick_space(rounds=30), "scheduler": "asha"}
    keys = sweep_keys(tmp_path, search=search, checks=ACCEPT_NOISE)
    check = run_quietly(keys, noise_table(0)).confirmed.check
    assert not check.verdict.allows_use
    assert check.score.low <= 0.5 <= check.score.high
