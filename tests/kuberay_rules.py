"""What KubeRay 1.7 refuses though its schema takes it, and what Kubernetes or Ray would fall over later.

The operator's own rules are those of its `ValidateRayJobSpec`, `ValidateRayClusterSpec` and their metadata.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

Json = Mapping[str, Any]

SUBMISSION_MODES = ("K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode")
MAX_CLUSTER_NAME = 53  # its services' names get a suffix
MAX_JOB_NAME = MAX_CLUSTER_NAME - 6  # the cluster's name gets five letters and a dash
DNS_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
TOKENS_SINCE = (2, 52)
MANAGED_ENV = (
    "RAY_REDIS_ADDRESS",
    "REDIS_PASSWORD",
    "REDIS_USERNAME",
    "RAY_AUTH_TOKEN",
    "RAY_AUTH_MODE",
    "RAY_ADDRESS",
)
RESOURCES = ("num-cpus", "num-gpus", "memory", "resources")


def problems_of_job(manifest: Json) -> Iterator[str]:
    """What is wrong with a RayJob."""
    spec = manifest["spec"]
    yield from _name(manifest, MAX_JOB_NAME)
    mode, retries = spec.get("submissionMode", "K8sJobMode"), spec.get("backoffLimit", 0)
    if mode not in SUBMISSION_MODES:
        yield f"submissionMode: {mode} is none of {SUBMISSION_MODES}"
    if mode == "InteractiveMode" and retries > 0:
        yield "backoffLimit: not with InteractiveMode"
    if mode == "SidecarMode" and ("submitterPodTemplate" in spec or "submitterConfig" in spec):
        yield "submitterConfig, submitterPodTemplate: not with SidecarMode"
    if mode != "InteractiveMode" and not spec.get("entrypoint", "").strip():
        yield "entrypoint: is missing"
    for key in ("backoffLimit", "ttlSecondsAfterFinished"):
        if spec.get(key, 0) < 0:
            yield f"{key}: is negative"
    for key in ("activeDeadlineSeconds", "preRunningDeadlineSeconds"):
        if spec.get(key, 1) <= 0:
            yield f"{key}: is not above 0"
    yield from _ending(spec)
    yield from _where(spec, mode, retries)
    yield from _runtime_env(spec.get("runtimeEnvYAML", ""))


def _ending(spec: Json) -> Iterator[str]:
    shuts_down = spec.get("shutdownAfterJobFinishes", False)
    if spec.get("ttlSecondsAfterFinished", 0) > 0 and not shuts_down:
        yield "ttlSecondsAfterFinished: only with shutdownAfterJobFinishes"
    if spec.get("suspend") and not shuts_down:
        yield "suspend: only with shutdownAfterJobFinishes"
    if shuts_down and spec.get("deletionStrategy", {}).get("deletionRules"):
        yield "deletionStrategy: not with shutdownAfterJobFinishes"


def _where(spec: Json, mode: str, retries: int) -> Iterator[str]:
    selector = spec.get("clusterSelector", {})
    if bool(selector) == ("rayClusterSpec" in spec):
        yield "rayClusterSpec, clusterSelector: one of the two"
    if selector:
        if not selector.get("ray.io/cluster"):
            yield "clusterSelector: names no cluster (ray.io/cluster)"
        if mode == "SidecarMode" or spec.get("suspend") or retries > 0:
            yield "clusterSelector: not with SidecarMode, suspend or backoffLimit"
    if "rayClusterSpec" in spec:
        inner = spec["rayClusterSpec"]
        if inner.get("authOptions", {}).get("enableK8sTokenAuth"):
            yield "authOptions.enableK8sTokenAuth: not for a RayJob"
        if "upgradeStrategy" in inner:
            yield "upgradeStrategy: not for the cluster of a RayJob"
        yield from problems_of_cluster_spec(inner)


def _runtime_env(text: str) -> Iterator[str]:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        yield f"runtimeEnvYAML: {error}"
        return
    if not isinstance(found, dict | None):
        yield "runtimeEnvYAML: is no mapping"
        return
    variables = (found or {}).get("env_vars", {})
    yield from (f"runtimeEnvYAML: {key} is no string" for key, value in variables.items() if not isinstance(value, str))
    yield from (
        f"runtimeEnvYAML: {key} would be shown by the dashboard"
        for key in variables
        if re.search("KEY|SECRET|TOKEN|PASSWORD", key)
    )


def problems_of_cluster(manifest: Json) -> Iterator[str]:
    """What is wrong with a RayCluster."""
    yield from _name(manifest, MAX_CLUSTER_NAME)
    if manifest["metadata"].get("annotations", {}).get("ray.io/ft-enabled"):
        yield "ray.io/ft-enabled: gcsFaultToleranceOptions says it now"
    yield from problems_of_cluster_spec(manifest["spec"])


def _name(manifest: Json, longest: int) -> Iterator[str]:
    name = manifest["metadata"]["name"]
    if len(name) > longest:
        yield f"metadata.name: longer than {longest}"
    if not DNS_1035.fullmatch(name):
        yield f"metadata.name: {name} is no DNS-1035 label"


def problems_of_cluster_spec(spec: Json) -> Iterator[str]:
    """What is wrong with the spec that RayCluster and RayJob share."""
    head, groups = spec["headGroupSpec"], spec.get("workerGroupSpecs", [])
    yield from _group("head", head)
    names = [group.get("groupName", "") for group in groups]
    if len(set(names)) < len(names):
        yield "workerGroupSpecs: two groups have one name"
    for group in groups:
        name = group.get("groupName", "")
        if not DNS_1035.fullmatch(name):
            yield f"workerGroupSpecs: {name!r} is no DNS-1035 label"
        yield from _group(name, group)
        yield from _replicas(name, group, scales=spec.get("enableInTreeAutoscaling", False))
    yield from _autoscaling(spec, [head, *groups])
    yield from _auth(spec, [head, *groups])
    yield from _fault_tolerance(spec)


def _group(name: str, group: Json) -> Iterator[str]:
    pod = group["template"]["spec"]
    params = group.get("rayStartParams", {})
    if not pod.get("containers"):
        yield f"{name}: has no container"
        return
    if "labels" in params:
        yield f"{name}: labels are a field of the group, not of rayStartParams"
    if group.get("resources") and any(key in params for key in RESOURCES):
        yield f"{name}: resources in rayStartParams and in resources"
    yield from (
        f"{name}: {key} of rayStartParams is no string" for key, one in params.items() if not isinstance(one, str)
    )
    yield from _pod(name, pod)
    yield from _shared_memory(name, pod, params)


def _pod(name: str, pod: Json) -> Iterator[str]:
    volumes = {one["name"] for one in pod.get("volumes", [])}
    for container in pod["containers"]:
        mounts = container.get("volumeMounts", [])
        yield from (f"{name}: mounts {one['name']}, which is no volume" for one in mounts if one["name"] not in volumes)
        where = [one["mountPath"] for one in mounts]
        if len(set(where)) < len(where):
            yield f"{name}: mounts two volumes in one place"
        keys = [one["name"] for one in container.get("env", [])]
        yield from (f"{name}: env names {key} twice" for key in {key for key in keys if keys.count(key) > 1})
        yield from (f"{name}: env says {key}, which the operator says" for key in keys if key in MANAGED_ENV)
        yield from (
            f"{name}: env has the value of {one['name']} in the manifest"
            for one in container.get("env", [])
            if "value" in one and re.search("KEY|SECRET|TOKEN|PASSWORD", one["name"])
        )
        yield from (f"{name}: {problem}" for problem in _limits(container.get("resources", {})))


def _limits(resources: Json) -> Iterator[str]:
    limits, requests = resources.get("limits", {}), resources.get("requests", {})
    yield from (f"no limit of {key}" for key in ("cpu", "memory") if key not in limits)
    yield from (
        f"requests more {key} than its limit" for key in limits if _number(requests.get(key, 0)) > _number(limits[key])
    )
    if requests.get("nvidia.com/gpu") != limits.get("nvidia.com/gpu"):
        yield "GPUs: requests and limits differ"


def _shared_memory(name: str, pod: Json, params: Json) -> Iterator[str]:
    mounted = {one["mountPath"]: one["name"] for one in pod["containers"][0].get("volumeMounts", [])}
    shm = [one for one in pod.get("volumes", []) if one["name"] == mounted.get("/dev/shm")]  # noqa: S108
    if not shm or shm[0].get("emptyDir", {}).get("medium") != "Memory":
        yield f"{name}: /dev/shm is no volume in memory: Ray's object store would fall back to the disk"
        return
    size, store = shm[0]["emptyDir"].get("sizeLimit"), int(params.get("object-store-memory", 0))
    memory = pod["containers"][0].get("resources", {}).get("limits", {}).get("memory", "0")
    if size is None or not 0 < store < _number(size) < _number(memory) / 2:
        yield f"{name}: object store {store} < /dev/shm {size} < half of {memory} does not hold"


def _replicas(name: str, group: Json, *, scales: bool) -> Iterator[str]:
    if not scales and not {"minReplicas", "maxReplicas"} <= set(group):
        yield f"{name}: minReplicas and maxReplicas are wanted without the autoscaler"
    low, at_first, high = (group.get(key, 0) for key in ("minReplicas", "replicas", "maxReplicas"))
    if not 0 <= low <= at_first <= high:
        yield f"{name}: minReplicas {low} <= replicas {at_first} <= maxReplicas {high} does not hold"
    if scales and group.get("suspend"):
        yield f"{name}: suspend: not with the autoscaler"


def _autoscaling(spec: Json, groups: Sequence[Json]) -> Iterator[str]:
    scales, options = spec.get("enableInTreeAutoscaling", False), spec.get("autoscalerOptions", {})
    is_second = scales and options.get("version") == "v2"
    if options and not scales:
        yield "autoscalerOptions: only with enableInTreeAutoscaling"
    if options.get("idleTimeoutSeconds", 0) < 0:
        yield "autoscalerOptions.idleTimeoutSeconds: is negative"
    if any("idleTimeoutSeconds" in group for group in groups) and not is_second:
        yield "idleTimeoutSeconds of a group: only with the autoscaler's version v2"
    if is_second:
        containers = groups[0]["template"]["spec"]["containers"]
        if any(
            one["name"] == "RAY_enable_autoscaler_v2" for container in containers for one in container.get("env", [])
        ):
            yield "RAY_enable_autoscaler_v2: autoscalerOptions.version says it"
        policies = {group["template"]["spec"].get("restartPolicy", "Never") for group in groups}
        if policies != {"Never"}:
            yield "restartPolicy: Never, or nothing, with the autoscaler's version v2"


def _auth(spec: Json, groups: Sequence[Json]) -> Iterator[str]:
    if spec.get("authOptions", {}).get("mode") != "token":
        yield "authOptions.mode: is not token, so that whoever reaches the cluster can run anything on it"
        return
    version = str(spec.get("rayVersion", ""))
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        yield f"rayVersion: {version!r} is no version, which authOptions wants"
    elif tuple(map(int, version.split(".")[:2])) < TOKENS_SINCE:
        yield f"rayVersion: {version} has no tokens yet"
    for group in groups:
        for container in group["template"]["spec"].get("containers", []):
            image, _, tag = container["image"].rpartition(":")
            if not image or tag in {"", "latest"} or "/" in tag:
                yield f"image: {container['image']} has no fixed tag"


def _fault_tolerance(spec: Json) -> Iterator[str]:
    options = spec.get("gcsFaultToleranceOptions")
    params = spec["headGroupSpec"].get("rayStartParams", {})
    if "redis-username" in params:
        yield "redis-username: gcsFaultToleranceOptions says it"
    if options is None:
        return
    if "redis-password" in params:
        yield "redis-password: gcsFaultToleranceOptions says it"
    if options.get("backend", "redis") == "rocksdb":
        yield "gcsFaultToleranceOptions.backend: rocksdb wants a feature gate that is off unless somebody turned it on"
    if "storage" in options:
        yield "gcsFaultToleranceOptions.storage: only with rocksdb"
    if not options.get("redisAddress"):
        yield "gcsFaultToleranceOptions.redisAddress: is missing"
    if "value" in options.get("redisPassword", {}):
        yield "gcsFaultToleranceOptions.redisPassword: stands in the manifest"


def problems_of_entrypoint(entrypoint: str, options: set[str]) -> Iterator[str]:
    """What is wrong with the line of a RayJob that starts `raysweep run`.

    Args:
        entrypoint: which the operator pastes into a line of shell, after `ray job submit ... --`.
        options: those that `raysweep run` has.
    """
    try:
        words = list(shlex.shlex(entrypoint, posix=True, punctuation_chars=True))
    except ValueError as error:
        yield f"entrypoint: {error}"
        return
    if any(set(word) & set(";|&<>()`$\n") for word in words) or "$" in entrypoint or "\n" in entrypoint:
        yield "entrypoint: the submitter's own shell would read what is not of a plain command"
    words = shlex.split(entrypoint)
    if words[:2] != ["raysweep", "run"]:
        yield "entrypoint: does not start raysweep run"
    yield from (f"entrypoint: there is no {word}" for word in words if word.startswith("-") and word not in options)
    if "--run" not in words:
        yield "entrypoint: names no run, so that a retry would begin again"
    if "--until-published" not in words:
        yield "entrypoint: a verdict, or a run that is published, would be tried again (--until-published)"


def _number(quantity: str | float) -> float:
    """A quantity of Kubernetes as a number."""
    found = re.fullmatch(r"([0-9.]+)(m|[KMGT]i?)?", str(quantity))
    assert found, quantity
    unit = found.group(2) or ""
    factors = {"": 1.0, "m": 0.001} | {f"{one}i": 1024.0**n for n, one in enumerate("KMGT", 1)}
    factors |= {one: 1000.0**n for n, one in enumerate("KMGT", 1)}
    return float(found.group(1)) * factors[unit]
