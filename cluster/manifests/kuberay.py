"""The manifests for KubeRay: jobs that resume, clusters that stay, the sweep files, and the closed network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from manifests.pods import PORTS, SWEEP_FOLDER, head, workers

Json = dict[str, Any]
Files = dict[str, tuple[str, list[Json]]]

API = "ray.io/v1"
SUBMITTER_RETRIES = 3
START_SECONDS = 1800  # for a cluster to stand, before its job is given up


def files(settings: Json, sweeps: Path) -> Files:
    """Each file's path, why it is there, and its documents."""
    job, gpu_job = sweeps / "flights-s3.yaml", sweeps / "flights-s3-gpu.yaml"
    plain = _cluster(settings, "raysweep", ("cpu", "spot", "gpu"), min_gpus=0)
    surviving = _cluster(settings, "raysweep", ("cpu", "spot", "gpu"), min_gpus=0)
    surviving["spec"] = {"gcsFaultToleranceOptions": _redis(settings)} | surviving["spec"]
    return {
        "kuberay/rayjob.yaml": (
            "One sweep as a job: workers on demand and on spot. A retry goes on where the last try stopped.",
            [_config_map(settings, job), _job(settings, job, ("cpu", "spot"))],
        ),
        "kuberay/rayjob-gpu.yaml": (
            "As rayjob.yaml, with a group of workers that have GPUs.",
            [_config_map(settings, gpu_job), _job(settings, gpu_job, ("cpu", "gpu"))],
        ),
        "kuberay/raycluster.yaml": ("A cluster that stays, for sweeps that are submitted.", [plain]),
        "kuberay/raycluster-redis.yaml": (
            "As raycluster.yaml; its workers survive a lost head, since its state lies in a Redis of yours.",
            [surviving],
        ),
        "kuberay/networkpolicy.yaml": ("The namespace, and who may reach the pods of Ray in it.", _network(settings)),
    }


def _metadata(settings: Json, name: str) -> Json:
    labels = {"app.kubernetes.io/part-of": "raysweep"}
    return {"name": name, "namespace": settings["kuberay"]["namespace"], "labels": labels}


def _name(sweep: Path) -> str:
    return str(yaml.safe_load(sweep.read_text(encoding="utf-8"))["name"])


def _config_map(settings: Json, sweep: Path) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(settings, f"{_name(sweep)}-sweep"),
        "data": {"sweep.yaml": sweep.read_text(encoding="utf-8")},
    }


def _job(settings: Json, sweep: Path, groups: tuple[str, ...]) -> Json:
    """A RayJob.

    Its driver says 0 once a model is published, so that a verdict is no failure to be tried again; whatever fails is
    tried again under the same run id, and so goes on from the journal.
    """
    site, name = settings["kuberay"], _name(sweep)
    stop = {"RAY_JOB_STOP_SIGNAL": "SIGINT", "RAY_JOB_STOP_WAIT_TIME_S": str(site["finish_seconds"])}
    return {
        "apiVersion": API,
        "kind": "RayJob",
        "metadata": _metadata(settings, name),
        "spec": {
            "entrypoint": f"raysweep run {SWEEP_FOLDER}/sweep.yaml --run {name} --until-published",
            "submissionMode": "K8sJobMode",
            "backoffLimit": site["retries"],
            "submitterConfig": {"backoffLimit": SUBMITTER_RETRIES},
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": 60,
            "preRunningDeadlineSeconds": START_SECONDS,
            "activeDeadlineSeconds": site["deadline_seconds"],
            "runtimeEnvYAML": yaml.safe_dump({"env_vars": stop}),
            "rayClusterSpec": _cluster_spec(settings, groups, sweep=f"{name}-sweep"),
        },
    }


def _cluster(settings: Json, name: str, groups: tuple[str, ...], *, min_gpus: int) -> Json:
    spec = _cluster_spec(settings, groups, sweep=None)
    for group in spec["workerGroupSpecs"]:
        if group["groupName"] == "gpu":  # such nodes are dear: none waits for work
            group |= {"replicas": min_gpus, "minReplicas": min_gpus}
    return {"apiVersion": API, "kind": "RayCluster", "metadata": _metadata(settings, name), "spec": spec}


def _cluster_spec(settings: Json, groups: tuple[str, ...], *, sweep: str | None) -> Json:
    small = {"requests": {"cpu": "500m", "memory": "512Mi"}, "limits": {"cpu": "500m", "memory": "1Gi"}}
    return {
        "rayVersion": settings["ray"],
        "authOptions": {"mode": "token"},  # the operator makes the token, and gives it to every pod
        "enableInTreeAutoscaling": True,
        "autoscalerOptions": {"version": "v2", "idleTimeoutSeconds": 300, "resources": small},
        "headGroupSpec": head(settings, sweep=sweep),
        "workerGroupSpecs": [workers(settings, group) for group in groups],
    }


def _redis(settings: Json) -> Json:
    site = settings["kuberay"]
    password = {"secretKeyRef": {"name": site["redis_secret"], "key": "password"}}
    return {"backend": "redis", "redisAddress": site["redis"], "redisPassword": {"valueFrom": password}}


def _network(settings: Json) -> list[Json]:
    """What is not allowed here is closed: whoever reaches the ports of Ray can run what they like on it."""
    site = settings["kuberay"]
    ray_pods = {"podSelector": {"matchLabels": {"ray.io/is-ray-node": "yes"}}}
    operator = {
        "namespaceSelector": {},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "kuberay-operator"}},
    }
    dashboard = [{"port": PORTS["dashboard"], "protocol": "TCP"}]
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": site["namespace"]}},
        _policy(settings, "raysweep-closed", {"ray.io/is-ray-node": "yes"}, [{"from": [ray_pods]}]),
        _policy(
            settings,
            "raysweep-jobs",
            {"ray.io/node-type": "head"},
            [{"from": [{"podSelector": {}}, operator], "ports": dashboard}],
        ),
    ]


def _policy(settings: Json, name: str, pods: Json, ingress: list[Json]) -> Json:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _metadata(settings, name),
        "spec": {"podSelector": {"matchLabels": pods}, "policyTypes": ["Ingress"], "ingress": ingress},
    }
