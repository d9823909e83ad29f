"""The file for Ray's cluster launcher on AWS: a head on demand, workers on spot, behind a security group of yours."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

TOKEN_PATH = ".ray/auth_token"  # noqa: S105 - where `ray get-auth-token --generate` puts it
START = "ulimit -n 65536; RAY_AUTH_MODE=token ray start"
CONFIG = "~/ray_bootstrap_config.yaml"  # the launcher puts it there
DISK_GIB = 140  # the images that Ray takes by default want so much


def files(settings: Json) -> dict[str, tuple[str, list[Json]]]:
    """Each file's path, why it is there, and its documents."""
    return {"aws/cluster.yaml": ("For `ray up`: a head on demand, workers on spot.", [_cluster(settings)])}


def _cluster(settings: Json) -> Json:
    site = settings["aws"]
    spot = {"InstanceMarketOptions": {"MarketType": "spot"}}
    return {
        "cluster_name": "raysweep",
        "max_workers": site["max_spot"] + site["max_gpu"],
        "upscaling_speed": 2.0,
        "idle_timeout_minutes": 5,
        "provider": {
            "type": "aws",
            "region": site["region"],
            "cache_stopped_nodes": False,
            "use_internal_ips": False,
        },
        "auth": {"ssh_user": "ubuntu"},
        "docker": {
            "image": settings["image"]["cpu"],
            "container_name": "raysweep",
            "pull_before_run": True,
            "run_options": ["--ulimit nofile=65536:65536"],
        },
        "file_mounts": {f"/home/ray/{TOKEN_PATH}": f"~/{TOKEN_PATH}"},
        # Empty: the launcher's own would install a nightly Ray over the image's.
        "setup_commands": [],
        "head_setup_commands": [],
        "worker_setup_commands": [],
        "head_start_ray_commands": [
            "ray stop",
            f"{START} --head --port=6379 --num-cpus=0 --dashboard-host=127.0.0.1 --autoscaling-config={CONFIG}",
        ],
        "worker_start_ray_commands": ["ray stop", f"{START} --address=$RAY_HEAD_IP:6379"],
        "head_node_type": "head",
        "available_node_types": {
            "head": {"resources": {"CPU": 0}, "node_config": _node(site, site["head"], site["head_profile"])},
            "spot": {
                "min_workers": 1,
                "max_workers": site["max_spot"],
                "resources": {},
                "node_config": _node(site, site["worker"], site["worker_profile"]) | spot,
            },
            "gpu": {
                "min_workers": 0,
                "max_workers": site["max_gpu"],
                "resources": {},
                "node_config": _node(site, site["gpu_worker"], site["worker_profile"]) | spot,
                "docker": {"worker_image": settings["image"]["gpu"]},
            },
        },
    }


def _node(site: Json, instance: str, profile: str) -> Json:
    disk = {"VolumeSize": DISK_GIB, "VolumeType": "gp3", "Encrypted": True}
    return {
        "InstanceType": instance,
        # Without one the launcher makes a group that lets ssh in from anywhere, whatever else is asked of it.
        "SecurityGroupIds": [site["security_group"]],
        "IamInstanceProfile": {"Name": profile},
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2},
        "BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": disk}],
    }
