"""Which Ray a command uses, and which addresses are refused with the way out."""

import pytest

from raysweep.errors import RequestInvalid
from raysweep.runtime.cluster_address import Wanted, host_and_port, wanted_ray


@pytest.mark.parametrize(
    ("address", "environment", "found"),
    [
        (None, {}, Wanted(None)),
        (None, {"RAY_ADDRESS": ""}, Wanted(None)),
        (None, {"RAY_ADDRESS": "head:6379"}, Wanted("head:6379", "RAY_ADDRESS")),
        (None, {"RAY_ADDRESS": "auto"}, Wanted("auto", "RAY_ADDRESS")),
        (None, {"RAY_ADDRESS": "local"}, Wanted(None)),
        ("local", {"RAY_ADDRESS": "head:6379"}, Wanted(None)),
        ("auto", {}, Wanted("auto")),
        ("auto", {"RAY_ADDRESS": "10.0.0.1:6379"}, Wanted("10.0.0.1:6379", "RAY_ADDRESS")),
        ("other:6380", {"RAY_ADDRESS": "head:6379"}, Wanted("other:6380")),
        ("[fd00::1]:6379", {}, Wanted("[fd00::1]:6379")),
    ],
)
def test_which_ray_is_meant(address, environment, found):
    assert wanted_ray(address, environment) == found


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("ray://head:10001", "raysweep submit SWEEP --address http://head:8265"),
        ("http://head:8265", "`raysweep submit SWEEP --address http://head:8265` sends the sweep there"),
        ("https://ray.example.org/team", "raysweep submit SWEEP --address https://ray.example.org/team"),
        ("head", "write host:port, such as head:6379"),
        ("head:0", "write host:port"),
        ("head:70000", "write host:port"),
        ("", "write host:port"),
        ("two words:6379", "write host:port"),
    ],
)
def test_an_address_through_which_no_sweep_runs_is_refused_with_the_way_out(address, words):
    with pytest.raises(RequestInvalid, match=r"cluster\.address") as refused:
        wanted_ray(address, {})

    assert words in str(refused.value)


def test_what_the_environment_names_is_refused_by_its_variable():
    with pytest.raises(RequestInvalid, match=r"RAY_ADDRESS: http://head:8265 .* with cluster.address: local"):
        wanted_ray(None, {"RAY_ADDRESS": "http://head:8265"})


@pytest.mark.parametrize(("address", "halves"), [("head:6379", ("head", 6379)), ("[fd00::1]:80", ("fd00::1", 80))])
def test_the_halves_of_an_address(address, halves):
    assert host_and_port(address) == halves
