"""Which Ray is meant: the one that the sweep file names, else the one of RAY_ADDRESS, else one of our own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from raysweep.documents import shorten
from raysweep.errors import RequestInvalid

VARIABLE: Final = "RAY_ADDRESS"
SETTING: Final = "cluster.address"
AUTO: Final = "auto"
LOCAL: Final = "local"
_HOST_AND_PORT: Final = re.compile(r"^(?P<host>\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+):(?P<port>[0-9]{1,5})$")
_RAY_PORT: Final = 6379
_JOBS_PORT: Final = 8265


@dataclass(frozen=True, slots=True)
class Wanted:
    """A Ray to be on.

    Attributes:
        address: `auto`, or `host:port`; None for a Ray that is started here.
        source: what has named it.
    """

    address: str | None
    source: str = SETTING

    def __str__(self) -> str:
        return f"{self.source} {self.address}"


def wanted_ray(address: str | None, environment: Mapping[str, str]) -> Wanted:
    """Decide which Ray a command uses.

    Args:
        address: `cluster.address` or what stands for it; `local` is a Ray of our own whatever the environment says.
        environment: of this process.

    Raises:
        RequestInvalid: no sweep can run through such an address; says through which one it can.
    """
    named = environment.get(VARIABLE, "").strip()
    if address == LOCAL or (address is None and named in {"", LOCAL}):
        return Wanted(None)
    if named and address in {None, AUTO}:  # as Ray itself takes it
        return _checked(named, VARIABLE)
    return _checked(str(address).strip(), SETTING)


def host_and_port(address: str) -> tuple[str, int]:
    """The two halves of a `host:port` that `wanted_ray` has let pass."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _checked(address: str, source: str) -> Wanted:
    shown = f"{source}: {shorten(address)}"
    scheme, is_url, rest = address.partition("://")
    host = re.split(r"[:/]", rest)[0] or "HOST"
    if scheme in {"http", "https"} and is_url:
        raise RequestInvalid(
            f"{shown} is the address of a cluster's dashboard, which takes jobs: `raysweep submit SWEEP --address "
            f"{shorten(address)}` sends the sweep there. {_here(source)}"
        )
    if is_url:
        raise RequestInvalid(
            f"{shown}: a sweep cannot be driven through Ray Client or another proxy, since its driver is a process of "
            f"the cluster. Send it there by `raysweep submit SWEEP --address http://{host}:{_JOBS_PORT}`, or run it on "
            f"a node of the cluster with {SETTING}: {AUTO}"
        )
    if address == AUTO:
        return Wanted(address, source)
    found = _HOST_AND_PORT.match(address)
    if found is None or int(found["port"]) not in range(1, 1 << 16):
        raise RequestInvalid(
            f"{shown} is no address of a Ray: write host:port, such as head:{_RAY_PORT}, or {AUTO} for "
            f"the cluster that this machine is a node of. {_here(source)}"
        )
    return Wanted(address, source)


def _here(source: str) -> str:
    if source == VARIABLE:
        return f"Without {VARIABLE}, or with {SETTING}: {LOCAL}, the sweep runs on a Ray of its own on this machine"
    return f"Without {SETTING} the sweep runs on a Ray of its own on this machine"
