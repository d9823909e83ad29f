"""The cluster launcher's file, against what Ray checks before it starts an instance; and the `ray` of the pages."""

from __future__ import annotations

import copy
import re
import shlex
from pathlib import Path

import jsonschema
import pytest
import ray
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.scripts.scripts import cli

CLUSTER = Path(__file__).parents[2] / "cluster"
SETTINGS = yaml.safe_load((CLUSTER / "settings.yaml").read_text())


@pytest.fixture
def launcher():
    return yaml.safe_load((CLUSTER / "aws" / "cluster.yaml").read_text())


def test_ray_takes_the_file_and_installs_nothing_over_the_image(launcher):
    prepared = prepare_config(copy.deepcopy(launcher))
    validate_config(prepared)
    assert prepared["available_node_types"].keys() == {"head", "spot", "gpu"}
    commands = [
        line
        for key, lines in prepared.items()
        if key.endswith(("commands",)) and isinstance(lines, list)
        for line in lines
    ]
    assert not [line for line in commands if "pip" in line or "wheel" in line]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda one: one.update(max_worker=3), jsonschema.ValidationError),
        (lambda one: one.update(head_node_type="heads"), ValueError),
        (lambda one: one["available_node_types"]["spot"].update(min_workers="1"), jsonschema.ValidationError),
        (lambda one: one["available_node_types"]["spot"].update(min_workers=99), ValueError),
    ],
)
def test_ray_refuses_what_is_wrong(launcher, change, error):
    change(launcher)
    with pytest.raises(error):
        validate_config(prepare_config(launcher))


def test_workers_are_spot_and_the_head_is_not(launcher):
    kinds = {
        name: one["node_config"].get("InstanceMarketOptions") for name, one in launcher["available_node_types"].items()
    }
    spot = {"MarketType": "spot"}
    assert kinds == {"head": None, "spot": spot, "gpu": spot}
    assert launcher["available_node_types"]["head"]["resources"] == {"CPU": 0}


def test_nothing_is_opened_by_the_launcher(launcher):
    nodes = [one["node_config"] for one in launcher["available_node_types"].values()]
    assert {tuple(one["SecurityGroupIds"]) for one in nodes} == {(SETTINGS["aws"]["security_group"],)}
    assert "security_group" not in launcher["provider"]
    starts = [*launcher["head_start_ray_commands"], *launcher["worker_start_ray_commands"]]
    assert all("RAY_AUTH_MODE=token" in line for line in starts if "ray start" in line)
    assert "--dashboard-host=127.0.0.1" in launcher["head_start_ray_commands"][-1]
    assert all(one["MetadataOptions"]["HttpTokens"] == "required" for one in nodes)


def test_the_options_of_ray_start_are_those_of_this_ray(launcher):
    known = {option for param in cli.commands["start"].params for option in param.opts}
    script = (CLUSTER / "slurm" / "sweep.sbatch").read_text()
    lines = [*launcher["head_start_ray_commands"], *launcher["worker_start_ray_commands"]]
    lines += re.findall(r"^.*(?:ray start|--head|--num-cpus|--port).*$", script, flags=re.MULTILINE)
    used = {
        word.partition("=")[0] for line in lines for word in line.replace("'", " ").split() if word.startswith("--")
    }
    of_srun = {"--nodes", "--nodelist", "--overlap", "--exclude"}
    assert {"--head", "--temp-dir", "--autoscaling-config"} <= used
    assert used - of_srun <= known


def test_the_commands_of_ray_on_the_pages_exist():
    lines = re.findall(r"^    (ray .*)$", (CLUSTER / "aws" / "README.md").read_text(), flags=re.MULTILINE)
    assert len(lines) > 5
    for words in map(shlex.split, lines):
        command = cli.commands[words[1]]
        known = {option for param in command.params for option in param.opts}
        assert {word for word in words[2:] if word.startswith("--")} <= known, words


def test_the_settings_name_the_ray_that_was_tried():
    assert SETTINGS["ray"] == ray.__version__
