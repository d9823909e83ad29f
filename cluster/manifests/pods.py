"""The pods of a Ray cluster: head and workers, closed, without root, with secrets from the cluster alone."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

GIB = 1024**3
SWEEP_FOLDER = "/etc/raysweep"
DRIVER = "[r]aysweep run"  # in brackets: the pattern shall not find the shell that looks for it
STORE_SHARE = 0.3  # of a pod's memory, for Ray's object store
SHM_SHARE = 0.35  # its room in /dev/shm, which counts as the pod's memory too
S3_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
S3_MORE_KEYS = ("AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL")
ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAYSWEEP_HOME": "/tmp/raysweep"}  # noqa: S108 - the pod's own
PORTS = {"gcs-server": 6379, "dashboard": 8265, "client": 10001, "metrics": 8080}


def head(settings: Json, *, sweep: str | None) -> Json:
    """The head's group: it holds the driver and runs no trial.

    Args:
        settings: as in `settings.yaml`.
        sweep: the ConfigMap that holds the sweep file; None where sweeps are submitted.
    """
    site = settings["kuberay"]
    container = _container("ray-head", settings["image"]["cpu"], site["head"], site)
    container["ports"] = [{"name": name, "containerPort": port} for name, port in PORTS.items()]
    spec = _spec(container, site["head"])
    if sweep is None:
        container["lifecycle"] = {"preStop": {"exec": {"command": ["bash", "-c", _FINISH]}}}
        spec["terminationGracePeriodSeconds"] = site["finish_seconds"] + 30
    else:
        container["volumeMounts"].append({"name": "sweep", "mountPath": SWEEP_FOLDER, "readOnly": True})
        spec["volumes"].append({"name": "sweep", "configMap": {"name": sweep}})
    stays = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false", "karpenter.sh/do-not-disrupt": "true"}
    return {
        "rayStartParams": {"num-cpus": "0"} | _start_params(site["head"]),
        "template": {"metadata": {"annotations": stays}, "spec": spec},
    }


def workers(settings: Json, name: str) -> Json:
    """A group of workers that grows and shrinks: `cpu`, `spot` or `gpu`, as in `settings.yaml`."""
    site = settings["kuberay"]
    size = site["workers"][name]
    image = settings["image"]["gpu" if "gpu" in size else "cpu"]
    spec = _spec(_container("ray-worker", image, size, site), size) | {"automountServiceAccountToken": False}
    if site["service_account"] is not None:
        spec |= {"serviceAccountName": site["service_account"], "automountServiceAccountToken": True}
    for key, place in (("node_selector", "nodeSelector"), ("tolerations", "tolerations")):
        if name in site and site[name][key]:
            spec[place] = site[name][key]
    return {
        "groupName": name,
        "replicas": size["min"],
        "minReplicas": size["min"],
        "maxReplicas": size["max"],
        "idleTimeoutSeconds": 300,
        "rayStartParams": _start_params(size),
        "template": {"spec": spec},
    }


def _start_params(size: Json) -> Json:
    return {"object-store-memory": str(int(size["memory_gib"] * STORE_SHARE * GIB))}


def _container(name: str, image: str, size: Json, site: Json) -> Json:
    shares = {
        "cpu": str(size["cpu"]),
        "memory": f"{size['memory_gib']}Gi",
        "ephemeral-storage": f"{size['disk_gib']}Gi",
    }
    if "gpu" in size:
        shares["nvidia.com/gpu"] = str(size["gpu"])
    return {
        "name": name,
        "image": image,
        "env": [*({"name": name, "value": value} for name, value in ENVIRONMENT.items()), *_s3_env(site)],
        "resources": {"requests": shares, "limits": shares},  # equal: no neighbour takes a trial's memory away
        "securityContext": CLOSED,
        "volumeMounts": [
            {"name": "shared-memory", "mountPath": "/dev/shm"},  # noqa: S108 - Ray's object store
            {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108 - of Ray: its logs, and what it spills
        ],
    }


def _s3_env(site: Json) -> list[Json]:
    """The keys one by one: that way a Secret without them is noticed when the pod starts, not by a trial."""
    if site["s3_secret"] is None:
        return []
    return [
        {"name": key, "valueFrom": {"secretKeyRef": {"name": site["s3_secret"], "key": key, **optional}}}
        for keys, optional in ((S3_KEYS, {}), (S3_MORE_KEYS, {"optional": True}))
        for key in keys
    ]


def _spec(container: Json, size: Json) -> Json:
    shm = f"{int(size['memory_gib'] * SHM_SHARE * 1024)}Mi"
    return {
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000},
        "containers": [container],
        "volumes": [
            {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": shm}},
            {"name": "scratch", "emptyDir": {"sizeLimit": f"{size['disk_gib']}Gi"}},
        ],
    }


CLOSED: Json = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}

# The head of a cluster that stays is to go (a drained node, an eviction), and nobody will submit its sweep again: the
# driver is asked to finish with what there is, and waited for, up to terminationGracePeriodSeconds. A RayJob's head has
# no such hook: the job is tried again, and goes on with the whole search.
_FINISH = f"pkill -INT -f '{DRIVER}'; while pgrep -f '{DRIVER}' > /dev/null; do sleep 1; done"
