"""Knocking at a cluster before it is joined: `ray.init` waits for minutes where nobody opens, and says little."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import ray
import ray.exceptions
from ray._private.services import find_node_ids, get_ray_address_from_environment

from raysweep.errors import RayUnavailable
from raysweep.runtime.cluster_address import AUTO, Wanted, host_and_port

_CONNECT_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 8.0
_JOIN_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.5
_METADATA: Final = (b"cluster", b"CLUSTER_METADATA")
_SIGN_IN: Final = (
    "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH to the cluster's token (`ray get-auth-token` "
    "on its head prints it)"
)


def knock(wanted: Wanted) -> str:
    """Find out whether a cluster opens.

    Returns:
        Its `host:port`.

    Raises:
        RayUnavailable: no Ray, or none that lets us in; says why, and the way out.
    """
    address = _found(wanted) if wanted.address == AUTO else str(wanted.address)
    _check_connects(wanted, address)
    with _translated(wanted, address), _channel(address) as channel:
        _check_versions(wanted, address, _read_metadata(channel))
        if not _is_node(channel):
            raise RayUnavailable(
                f"{wanted}: this machine is no node of that cluster, and a driver has to be: send the sweep there by "
                "`raysweep submit`, or let this machine join by `ray start --address=" + f"{address}`"
            )
    return address


def _found(wanted: Wanted) -> str:
    try:
        return str(get_ray_address_from_environment(AUTO, None))
    except ConnectionError as error:
        raise RayUnavailable(
            f"{wanted}: no Ray runs on this machine. Start one by `ray start`, name the cluster as host:port, or leave "
            "cluster.address out for a Ray of the sweep's own"
        ) from error


def _check_connects(wanted: Wanted, address: str) -> None:
    host, port = host_and_port(address)
    try:
        socket.create_connection((host, port), _CONNECT_SECONDS).close()
    except socket.gaierror as error:
        raise RayUnavailable(f"{wanted}: there is no machine of the name {host}: check its spelling and DNS") from error
    except ConnectionRefusedError as error:
        raise RayUnavailable(
            f"{wanted}: nothing listens at {address}: the head of the cluster has died or was stopped, or it listens "
            "at another port (`ray status` there tells). A sweep that ran there goes on, once the cluster is back, by "
            "the same command"
        ) from error
    except OSError as error:
        raise RayUnavailable(
            f"{wanted}: {address} cannot be reached ({error.strerror or error}): check that the machine runs, and that "
            "the network and its firewalls let this one through"
        ) from error


@contextmanager
def _channel(address: str) -> Iterator[Any]:
    from ray._private.grpc_utils import init_grpc_channel

    channel = init_grpc_channel(address)
    try:
        yield channel
    finally:
        channel.close()


def _read_metadata(channel: Any) -> dict[str, Any]:
    from ray.core.generated import gcs_service_pb2 as messages
    from ray.core.generated.gcs_service_pb2_grpc import InternalKVGcsServiceStub

    namespace, key = _METADATA
    asked = messages.InternalKVGetRequest(namespace=namespace, key=key)
    answer = InternalKVGcsServiceStub(channel).InternalKVGet(asked, timeout=_ANSWER_SECONDS)
    found: dict[str, Any] = json.loads(answer.value or b"{}")
    return found


def _is_node(channel: Any) -> bool:
    """Whether this machine is one of its nodes; one whose Ray is just starting is waited for."""
    from ray.core.generated import gcs_service_pb2 as messages
    from ray.core.generated.gcs_pb2 import GcsNodeInfo
    from ray.core.generated.gcs_service_pb2_grpc import NodeInfoGcsServiceStub

    asked, until = (
        messages.GetAllNodeInfoRequest(state_filter=GcsNodeInfo.GcsNodeState.ALIVE),
        time.monotonic() + _JOIN_SECONDS,
    )
    while True:
        answer = NodeInfoGcsServiceStub(channel).GetAllNodeInfo(asked, timeout=_ANSWER_SECONDS)
        if {one.node_id.hex() for one in answer.node_info_list} & set(find_node_ids()):
            return True
        if time.monotonic() > until:
            return False
        time.sleep(_LOOK_SECONDS)


@contextmanager
def _translated(wanted: Wanted, address: str) -> Iterator[None]:
    """What gRPC and Ray raise, in words.

    Raises:
        RayUnavailable: always, where anything is raised.
    """
    import grpc

    try:
        yield
    except ray.exceptions.AuthenticationError as error:
        raise RayUnavailable(f"{wanted}: RAY_AUTH_MODE is token, but there is no token: {_SIGN_IN}") from error
    except grpc.RpcError as error:
        raise RayUnavailable(f"{wanted}: {_explain(error, address)}") from error


def _explain(error: Any, address: str) -> str:
    import grpc

    code, details = error.code(), str(error.details() or "").strip()
    if code is grpc.StatusCode.UNAUTHENTICATED:
        return f"the cluster refuses the token, or asks for one and got none: {_SIGN_IN}"
    if code is grpc.StatusCode.UNIMPLEMENTED or "HTTP/2" in details:
        return (
            f"what answers at {address} is no head of a Ray cluster: give the port of `ray start --head` (6379 where "
            "none was chosen), not that of the dashboard (8265) or of Ray Client (10001)"
        )
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return (
            f"{address} lets itself be connected to, but has not answered within {_ANSWER_SECONDS:g} s: the head "
            "hangs, or something else listens there"
        )
    return f"{address} does not answer as Ray does ({code.name}: {details}); with RAY_USE_TLS, check the certificates"


def _check_versions(wanted: Wanted, address: str, metadata: dict[str, Any]) -> None:
    from ray._private.utils import compute_version_info

    ray_here, python_here = compute_version_info()[:2]
    ray_there, python_there = metadata.get("ray_version", ray_here), metadata.get("python_version", python_here)
    if (ray_here, python_here) != (ray_there, python_there):
        raise RayUnavailable(
            f"{wanted}: the cluster at {address} has Ray {ray_there} on Python {python_there}, this process Ray "
            f"{ray_here} on Python {python_here}: run the sweep with the cluster's versions, or send it there by "
            "`raysweep submit`"
        )
