"""A Ray of our own that nobody else can reach: it listens on loopback alone, and its token is in no file."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ray._private import ray_constants
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

from raysweep.runtime.environment import environment_kept

_MODE: Final = "RAY_AUTH_MODE"
_TOKEN: Final = "RAY_AUTH_TOKEN"  # noqa: S105 - the name of a variable


@contextmanager
def loopback_only() -> Iterator[None]:
    """A Ray that is started in the block takes 127.0.0.1 for its node's address, and listens there and nowhere else.

    `ray.init(_node_ip_address="127.0.0.1")` would not do: Ray puts the machine's outer address in its place.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


@contextmanager
def token_of_its_own() -> Iterator[None]:
    """A Ray that is started in the block lets in only what was started with it, unless RAY_AUTH_MODE says otherwise.

    Left alone, Ray would write a token into the user's home that all on the machine can read, and that the clusters
    which the user starts later would take for theirs.
    """
    if os.environ.get(_MODE, "token").lower() != "token":
        yield
        return
    try:
        with environment_kept(_MODE, _TOKEN):
            os.environ |= {_MODE: "token", _TOKEN: secrets.token_hex(32)}
            _read_anew()
            yield
    finally:
        _read_anew()


def _read_anew() -> None:
    """Ray keeps what it has read of the environment."""
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()
