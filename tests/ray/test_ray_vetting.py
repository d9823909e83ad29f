"""What becomes of a node that joins: what it answers, that it is asked again, and what is said of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from raysweep.runtime import ray_vetting, versions
from raysweep.runtime.ray_by_value import pinned
from raysweep.runtime.ray_vetting import Vetted, Vetting

NODES = {letter * 56: f"n{letter}" for letter in "abc"}  # no node of Ray's has such an id
(A, B, C) = NODES


def answering(answer: Callable[[], dict[str, str]]) -> Callable[..., Any]:
    """Asks the driver's own node in the place of any other."""
    import ray

    here = str(ray.get_runtime_context().get_node_id())
    return lambda _work, _node: pinned(answer, here)


def look_until(vetting: Vetting, nodes: dict[str, str], done: Callable[[Vetted], bool]) -> Vetted:
    deadline = time.monotonic() + 30
    while not done(vetted := vetting.look(nodes)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return vetted


def test_a_node_where_nothing_runs_is_asked_again_and_that_is_said_once(ray_session: None, monkeypatch):
    monkeypatch.setattr(ray_vetting, "_FAILED_SECONDS", 0.02)
    asked, said = [], []
    monkeypatch.setattr(ray_vetting, "pinned", lambda work, node: asked.append(node) or pinned(work, node))
    vetting = Vetting(said.append, [B])
    assert vetting.look({A: "na", B: "nb"}) == Vetted(asked=frozenset({A}))
    look_until(vetting, {A: "na", B: "nb"}, lambda _: len(asked) >= 3)
    silent = Vetted(unfit=frozenset({A}))  # nobody counts on it any more, and it is asked all the same
    look_until(vetting, {A: "na", B: "nb"}, lambda vetted: vetted == silent and len(asked) >= 5)
    assert set(asked) == {A}
    (told,) = said
    assert told.startswith(
        "na has joined, but gets no trial before it tells what is installed there: nothing can be run"
    )
    assert vetting.look({}) == Vetted()


def test_a_late_answer_counts_though_it_was_asked_again(ray_session: None, monkeypatch):
    def slowly() -> dict[str, str]:
        import time

        from raysweep.runtime.versions import installed_versions

        time.sleep(0.5)
        return installed_versions()

    monkeypatch.setattr(ray_vetting, "_ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(ray_vetting, "pinned", answering(slowly))
    said: list[str] = []
    vetting = Vetting(said.append, [])
    assert vetting.look({A: "na"}).asked == {A}
    look_until(vetting, {A: "na"}, lambda vetted: vetted == Vetted())
    (told,) = said
    assert "no answer within 0.1 s" in told


def test_several_unfit_nodes_in_a_row_say_that_further_ones_are_no_use(ray_session: None, monkeypatch):
    here = versions.installed_versions()
    monkeypatch.setattr(ray_vetting, "pinned", answering(lambda: {**here, "Ray": "1.0"}))
    said: list[str] = []
    vetting = Vetting(said.append, [])
    two = {A: "na", B: "nb"}
    assert look_until(vetting, two, lambda vetted: not vetted.asked) == Vetted(unfit=frozenset(two))
    assert look_until(vetting, NODES, lambda vetted: not vetted.asked) == Vetted(
        unfit=frozenset(NODES), is_hopeless=True
    )
    assert len(said) == 3
    assert said[-1] == (
        f"nc has joined, but gets no trials: it has Ray 1.0, the driver Ray {here['Ray']}. Install the same on every "
        "node, such as by one image"
    )
