"""The manifests of cluster/kuberay/: as the operator's schema and its own rules want them; each rule can be broken."""

from __future__ import annotations

import copy
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import render
from kuberay_rules import problems_of_cluster, problems_of_entrypoint, problems_of_job
from kubernetes_schema import problems_of, schema_of
from raysweep.cli.main import main
from raysweep.config import load_config

CLUSTER = Path(__file__).parents[2] / "cluster"
SETTINGS = yaml.safe_load((CLUSTER / "settings.yaml").read_text())
FILES = sorted((CLUSTER / "kuberay").glob("*.yaml"))
RULES = {"RayJob": problems_of_job, "RayCluster": problems_of_cluster}
DOCUMENTS = [(path.name, one) for path in FILES for one in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader)]
RAY = [pytest.param(one, id=f"{name}-{one['kind']}") for name, one in DOCUMENTS if one["kind"] in RULES]
JOBS = [one for _, one in DOCUMENTS if one["kind"] == "RayJob"]
REMOVED = object()


def found(kind, name):
    return next(copy.deepcopy(one) for file, one in DOCUMENTS if one["kind"] == kind and file == name)


def changed(manifest, path, value):
    """A copy with one value put, or removed; a path such as `spec.workerGroupSpecs.0.replicas`."""
    broken = copy.deepcopy(manifest)
    *way, last = [int(key) if key.isdigit() else key.replace("~", ".") for key in path.split(".")]
    place = broken
    for key in way:
        place = place[key] if isinstance(key, int) else place.setdefault(key, {})
    if value is REMOVED:
        del place[last]
    else:
        place[last] = value
    return broken


@pytest.fixture(scope="module")
def crds():
    folder = os.environ.get("KUBERAY_CRDS")
    if not folder:
        pytest.skip(
            "KUBERAY_CRDS names no folder with KubeRay's schemas (ray.io_rayjobs.yaml, ray.io_rayclusters.yaml)"
        )
    return Path(folder)


def test_there_are_jobs_and_clusters():
    assert {one["kind"] for _, one in DOCUMENTS} == {"RayJob", "RayCluster", "ConfigMap", "NetworkPolicy", "Namespace"}


def test_the_manifests_are_what_the_renderer_writes(tmp_path, capsys):
    assert render.main(["--check"]) == 0
    assert render.main(["--check", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().out.count("is not what render.py writes") == len(FILES) + 1


def test_one_setting_reaches_every_manifest(tmp_path):
    mine = copy.deepcopy(SETTINGS)
    mine["image"] = {"cpu": "harbor.local/ml/raysweep:9-cpu", "gpu": "harbor.local/ml/raysweep:9-gpu"}
    mine["kuberay"] |= {"namespace": "team-a", "s3_secret": None, "service_account": "reads-s3"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(mine))
    assert render.main(["--settings", str(tmp_path / "mine.yaml"), "--out", str(tmp_path)]) == 0

    text = "".join(path.read_text() for path in tmp_path.glob("*/*.yaml"))
    assert set(re.findall(r"\S*image: (\S+)", text)) == set(mine["image"].values())
    assert set(re.findall(r"namespace: (\S+)", text)) == {"team-a"}
    assert "secretKeyRef: {name: raysweep-s3" not in text
    assert "raysweep-s3" not in text
    assert "serviceAccountName: reads-s3" in text


@pytest.mark.parametrize("manifest", RAY)
def test_a_manifest_is_as_the_schema_says(manifest, crds):
    assert list(problems_of(manifest, schema_of(crds, manifest["kind"]), manifest["kind"])) == []


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("spec.backofLimit", 3, "no such field"),
        ("spec.backoffLimit", "3", "is no integer"),
        ("spec.backoffLimit", True, "is no integer"),
        ("spec.rayClusterSpec.headGroupSpec", REMOVED, "is missing"),
        ("spec.rayClusterSpec.authOptions.mode", "tokens", "none of"),
        ("spec.preRunningDeadlineSeconds", 0, "less than"),
        ("spec.rayClusterSpec.workerGroupSpecs.0.template.spec.containers.0.imagePullSecret", "x", "no such field"),
        (
            "spec.rayClusterSpec.workerGroupSpecs.0.template.spec.containers.0.env.0.valueFrom.secretKeyRef",
            {},
            "missing",
        ),
        ("spec.rayClusterSpec.workerGroupSpecs.1.template.spec.tolerations.0.value", 1, "is no string"),
        (
            "spec.rayClusterSpec.workerGroupSpecs.0.template.spec.containers.0.resources.limits.memory",
            "much",
            "quantity",
        ),
        ("spec.rayClusterSpec.headGroupSpec.rayStartParams.num-cpus", 0, "is no string"),
        ("spec.rayClusterSpec.headGroupSpec.template.spec.containers.0.ports.1.containerPort", 6379, "twice"),
        ("spec.rayClusterSpec.headGroupSpec.template.spec.volumes", {}, "is no array"),
    ],
)
def test_what_the_schema_does_not_know_is_found(path, value, problem, crds):
    broken = changed(found("RayJob", "rayjob.yaml"), path, value)
    problems = list(problems_of(broken, schema_of(crds, "RayJob"), "RayJob"))
    assert any(problem in one for one in problems), problems


def test_the_rules_of_a_network_policy_are_as_the_schema_says(crds):
    spec = schema_of(crds, "RayCluster")["properties"]["spec"]
    rules = spec["properties"]["networkPolicy"]["properties"]["head"]["properties"]["ingressRules"]
    for policy in (one["spec"] for _, one in DOCUMENTS if one["kind"] == "NetworkPolicy"):
        assert set(policy) == {"podSelector", "policyTypes", "ingress"}
        assert list(problems_of(policy["ingress"], rules, "ingress")) == []
    assert list(problems_of([{"from": [{"podSelectors": {}}]}], rules, "ingress"))


@pytest.mark.parametrize("manifest", RAY)
def test_a_manifest_keeps_the_operators_rules(manifest):
    assert list(RULES[manifest["kind"]](manifest)) == []


HEAD, FIRST = "spec.rayClusterSpec.headGroupSpec", "spec.rayClusterSpec.workerGroupSpecs.0"
SPOT = "spec.rayClusterSpec.workerGroupSpecs.1"


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("metadata.name", "Flights", "DNS-1035"),
        ("metadata.name", "1-flights", "DNS-1035"),
        ("metadata.name", "f" * 48, "longer than 47"),
        ("spec.submissionMode", "K8sJob", "none of"),
        ("spec.submissionMode", "InteractiveMode", "backoffLimit: not with"),
        ("spec.submissionMode", "SidecarMode", "submitterConfig"),
        ("spec.entrypoint", "  ", "entrypoint: is missing"),
        ("spec.backoffLimit", -1, "negative"),
        ("spec.activeDeadlineSeconds", 0, "not above 0"),
        ("spec.shutdownAfterJobFinishes", False, "ttlSecondsAfterFinished: only with"),
        ("spec.deletionStrategy", {"deletionRules": [{"policy": "DeleteSelf"}]}, "deletionStrategy: not with"),
        ("spec.clusterSelector", {"ray.io/cluster": "raysweep"}, "one of the two"),
        ("spec.rayClusterSpec", REMOVED, "one of the two"),
        ("spec.runtimeEnvYAML", "env_vars: {A: 1}", "A is no string"),
        ("spec.runtimeEnvYAML", "env_vars: [", "runtimeEnvYAML"),
        ("spec.runtimeEnvYAML", "env_vars: {AWS_SECRET_ACCESS_KEY: x}", "shown by the dashboard"),
        ("spec.rayClusterSpec.authOptions.enableK8sTokenAuth", True, "not for a RayJob"),
        ("spec.rayClusterSpec.authOptions", REMOVED, "authOptions.mode"),
        ("spec.rayClusterSpec.rayVersion", "2.51.0", "no tokens yet"),
        ("spec.rayClusterSpec.rayVersion", REMOVED, "is no version"),
        ("spec.rayClusterSpec.upgradeStrategy", {"type": "Recreate"}, "upgradeStrategy"),
        ("spec.rayClusterSpec.enableInTreeAutoscaling", False, "autoscalerOptions: only with"),
        ("spec.rayClusterSpec.autoscalerOptions.version", "v1", "idleTimeoutSeconds of a group"),
        ("spec.rayClusterSpec.autoscalerOptions.idleTimeoutSeconds", -1, "negative"),
        (f"{HEAD}.template.spec.restartPolicy", "Always", "restartPolicy"),
        (f"{HEAD}.template.spec.containers", [], "has no container"),
        (f"{HEAD}.rayStartParams.num-cpus", 0, "num-cpus of rayStartParams is no string"),
        (f"{HEAD}.rayStartParams.labels", "a=b", "labels are a field"),
        (f"{HEAD}.resources", {"CPU": "0"}, "in rayStartParams and in resources"),
        (f"{HEAD}.template.spec.containers.0.image", "registry.example.com/raysweep", "no fixed tag"),
        (f"{HEAD}.template.spec.containers.0.image", "registry.example.com/raysweep:latest", "no fixed tag"),
        (
            f"{HEAD}.template.spec.containers.0.env.0",
            {"name": "RAY_enable_autoscaler_v2", "value": "1"},
            "version says",
        ),
        (f"{HEAD}.template.spec.containers.0.env.0", {"name": "RAY_REDIS_ADDRESS", "value": "r"}, "the operator says"),
        (f"{HEAD}.template.spec.volumes.2.name", "sweeps", "which is no volume"),
        (f"{FIRST}.groupName", "spot", "two groups have one name"),
        (f"{FIRST}.groupName", "Spot_1", "DNS-1035"),
        (f"{FIRST}.replicas", 0, "does not hold"),
        (f"{FIRST}.maxReplicas", 0, "does not hold"),
        (f"{FIRST}.suspend", True, "suspend: not with"),
        (f"{FIRST}.rayStartParams.object-store-memory", str(20 * 1024**3), "does not hold"),
        (f"{FIRST}.template.spec.volumes.0.emptyDir", {}, "no volume in memory"),
        (f"{FIRST}.template.spec.containers.0.resources.limits.memory", REMOVED, "no limit of memory"),
        (f"{FIRST}.template.spec.containers.0.resources.requests.cpu", "9", "more cpu than its limit"),
        (f"{FIRST}.template.spec.containers.0.resources.limits.nvidia~com/gpu", "1", "GPUs"),
        (
            f"{FIRST}.template.spec.containers.0.env.2",
            {"name": "AWS_SECRET_ACCESS_KEY", "value": "x"},
            "in the manifest",
        ),
        (f"{SPOT}.template.spec.containers.0.volumeMounts.1.mountPath", "/dev/shm", "two volumes in one place"),  # noqa: S108
    ],
)
def test_each_of_the_operators_rules_can_be_broken(path, value, problem):
    broken = changed(found("RayJob", "rayjob.yaml"), path, value)
    problems = list(problems_of_job(broken))
    assert any(problem in one for one in problems), problems


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("metadata.name", "r" * 54, "longer than 53"),
        ("metadata.annotations", {"ray.io/ft-enabled": "true"}, "ft-enabled"),
        ("spec.gcsFaultToleranceOptions.backend", "rocksdb", "feature gate"),
        ("spec.gcsFaultToleranceOptions.storage", {"size": "1Gi"}, "only with rocksdb"),
        ("spec.gcsFaultToleranceOptions.redisAddress", REMOVED, "redisAddress: is missing"),
        ("spec.gcsFaultToleranceOptions.redisPassword", {"value": "x"}, "stands in the manifest"),
        ("spec.headGroupSpec.rayStartParams.redis-password", "x", "redis-password"),
        ("spec.headGroupSpec.rayStartParams.redis-username", "x", "redis-username"),
    ],
)
def test_the_rules_of_a_cluster_that_stays_can_be_broken(path, value, problem):
    broken = changed(found("RayCluster", "raycluster-redis.yaml"), path, value)
    problems = list(problems_of_cluster(broken))
    assert any(problem in one for one in problems), problems


def options_of_run(capsys):
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    return set(re.findall(r"--?[a-z][a-z-]*", capsys.readouterr().out))


@pytest.mark.parametrize("manifest", JOBS, ids=lambda one: one["metadata"]["name"])
def test_the_entrypoint_resumes_its_run(manifest, capsys):
    entrypoint = manifest["spec"]["entrypoint"]
    assert list(problems_of_entrypoint(entrypoint, options_of_run(capsys))) == []
    assert entrypoint.split()[entrypoint.split().index("--run") + 1] == manifest["metadata"]["name"]


@pytest.mark.parametrize(
    ("entrypoint", "problem"),
    [
        ("raysweep run /etc/s.yaml --run a --until-published || true", "own shell"),
        ("raysweep run /etc/s.yaml --run $RUN --until-published", "own shell"),
        ("raysweep run '/etc/s.yaml --run a --until-published", "No closing quotation"),
        ("raysweep run /etc/s.yaml --until-published", "names no run"),
        ("raysweep run /etc/s.yaml --run a", "tried again"),
        ("raysweep run /etc/s.yaml --run a --until-published --resume", "there is no --resume"),
        ("python sweep.py", "does not start raysweep run"),
    ],
)
def test_a_wrong_entrypoint_is_found(entrypoint, problem, capsys):
    problems = list(problems_of_entrypoint(entrypoint, options_of_run(capsys)))
    assert any(problem in one for one in problems), problems


@pytest.mark.parametrize("file", ["rayjob.yaml", "rayjob-gpu.yaml"])
def test_a_job_finds_its_sweep_file_where_the_entrypoint_looks_for_it(file, tmp_path, capsys):
    spec, config_map = found("RayJob", file)["spec"], found("ConfigMap", file)
    pod = spec["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    (volume,) = [one for one in pod["volumes"] if "configMap" in one]
    (mount,) = [one for one in pod["containers"][0]["volumeMounts"] if one["name"] == volume["name"]]
    path = Path(spec["entrypoint"].split()[2])
    assert volume["configMap"]["name"] == config_map["metadata"]["name"]
    assert str(path.parent) == mount["mountPath"]

    (tmp_path / path.name).write_text(config_map["data"][path.name])
    with pytest.raises(SystemExit) as left:
        main(["check", str(tmp_path / path.name)])
    assert not left.value.code
    assert "nothing wrong" in capsys.readouterr().out


@pytest.mark.parametrize("sweep", sorted((CLUSTER / "sweeps").glob("*.yaml")), ids=lambda path: path.name)
def test_a_sweep_for_a_cluster_needs_no_disk_of_a_node_and_is_bounded(sweep):
    config = load_config(sweep)
    assert all(source.startswith("s3://") for source in config.data.sources)
    assert config.export.to.startswith("s3://")
    assert config.search.stop.cost is not None
    assert config.search.stop.seconds is not None
    assert config.cluster.address is None  # RAY_ADDRESS says it, so that the same file runs everywhere
    assert config.export.s3.endpoint_url is None


def test_a_trial_fits_on_a_worker():
    for file in ("rayjob.yaml", "rayjob-gpu.yaml"):
        trial = yaml.safe_load(found("ConfigMap", file)["data"]["sweep.yaml"])["search"]["trial"]
        groups = found("RayJob", file)["spec"]["rayClusterSpec"]["workerGroupSpecs"]
        limits = [group["template"]["spec"]["containers"][0]["resources"]["limits"] for group in groups]
        fits = [
            int(one["cpu"]) >= trial["cpus"] and int(one.get("nvidia.com/gpu", 0)) >= trial.get("gpus", 0)
            for one in limits
        ]
        assert any(fits)


def test_one_secret_holds_the_keys_of_every_pod():
    asked = {}
    for _, manifest in DOCUMENTS:
        if manifest["kind"] not in RULES:
            continue
        spec = manifest["spec"].get("rayClusterSpec", manifest["spec"])
        for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
            for one in group["template"]["spec"]["containers"][0]["env"]:
                if "valueFrom" in one:
                    key = one["valueFrom"]["secretKeyRef"]
                    asked.setdefault((key["name"], key["key"], key.get("optional", False)), []).append(one["name"])
                    assert key["key"] == one["name"]
    groups = sum(
        1 + len(one["spec"].get("rayClusterSpec", one["spec"])["workerGroupSpecs"])
        for _, one in DOCUMENTS
        if one["kind"] in RULES
    )
    assert {len(names) for names in asked.values()} == {groups}
    assert {name for name, _, _ in asked} == {SETTINGS["kuberay"]["s3_secret"]}
    readme = (CLUSTER / "kuberay" / "README.md").read_text()
    made = set(re.findall(r"^ *(AWS_[A-Z_]+)=", readme, flags=re.MULTILINE))
    assert {key for _, key, is_optional in asked if not is_optional} <= made <= {key for _, key, _ in asked}


@pytest.mark.parametrize("manifest", RAY)
def test_the_head_runs_no_trial_and_gives_its_driver_time(manifest):
    spec = manifest["spec"].get("rayClusterSpec", manifest["spec"])
    head = spec["headGroupSpec"]
    pod = head["template"]["spec"]
    assert head["rayStartParams"]["num-cpus"] == "0"
    if manifest["kind"] == "RayJob":  # it is tried again, and goes on: to finish early would cut the search short
        assert "lifecycle" not in pod["containers"][0]
        stop = yaml.safe_load(manifest["spec"]["runtimeEnvYAML"])["env_vars"]
        assert stop["RAY_JOB_STOP_SIGNAL"] == "SIGINT"
        assert int(stop["RAY_JOB_STOP_WAIT_TIME_S"]) == SETTINGS["kuberay"]["finish_seconds"]
        return
    assert pod["terminationGracePeriodSeconds"] > SETTINGS["kuberay"]["finish_seconds"]
    hook = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert subprocess.run(["bash", "-n", "-c", hook[2]], check=False).returncode == 0


def test_the_hook_asks_the_driver_and_waits_for_it_and_for_nothing_else(tmp_path):
    """The pattern is the one that the hook has, for a driver of a name of our own."""
    pod = found("RayCluster", "raycluster.yaml")["spec"]["headGroupSpec"]["template"]["spec"]
    line = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][2]
    line = line.replace("[r]aysweep run", f"[d]river-{tmp_path.name} run").replace("sleep 1", "sleep 0.1")
    driver = tmp_path / f"driver-{tmp_path.name}"
    driver.write_text(
        "import pathlib, signal, sys, time\n"
        "def finish(*_):\n"
        "    time.sleep(0.3)\n"
        f"    pathlib.Path({str(tmp_path / 'finished')!r}).write_text('finished')\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGINT, finish)\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, driver, "run"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        subprocess.run(["bash", "-c", line], check=False, timeout=30)
        assert (tmp_path / "finished").read_text() == "finished"


def test_only_pods_of_ray_reach_its_ports_and_the_namespace_its_dashboard():
    closed, jobs = (one["spec"] for _, one in DOCUMENTS if one["kind"] == "NetworkPolicy")
    ray = {"matchLabels": {"ray.io/is-ray-node": "yes"}}
    assert closed == {"podSelector": ray, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": ray}]}]}
    (rule,) = jobs["ingress"]
    assert rule["ports"] == [{"port": 8265, "protocol": "TCP"}]
    assert [("namespaceSelector" in one, one["podSelector"] == {}) for one in rule["from"]] == [
        (False, True),
        (True, False),
    ]


def test_nothing_is_opened_to_the_world():
    text = "".join(path.read_text() for path in FILES)
    for open_door in (
        "LoadBalancer",
        "NodePort",
        "hostNetwork",
        "enableIngress: true",
        "privileged: true",
        "0.0.0.0/0",
    ):
        assert open_door not in text
