"""Files that mean harm are refused before they are read: nothing grows, is run, or is written elsewhere."""

from __future__ import annotations

import io
import json
import pickle
import zipfile

import numpy as np
import pytest

from fitted_models import fitted_pipeline
from raysweep.config import TaskKind
from raysweep.errors import BundleRefused
from raysweep.training import trusted
from raysweep.training.learner import FitSetting
from raysweep.training.pipeline import load_pipeline
from raysweep.training.trusted import load_trusted, write_skops
from raysweep.training.ubjson import check_ubjson

SETTING = FitSetting(TaskKind.BINARY, 2, 0, 1, 1, "roc_auc")


@pytest.fixture
def path(tmp_path):
    write_skops({"numbers": np.arange(1_000.0)}, tmp_path / "estimator.skops")
    return tmp_path / "estimator.skops"


def packed(path, *parts, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in parts:
            archive.writestr(name, content)


def refused(path, match):
    with pytest.raises(BundleRefused, match=match) as caught:
        load_trusted(path)
    return str(caught.value)


def test_a_file_of_our_own_passes(path):
    assert load_trusted(path)["numbers"].sum() == 499_500


def test_a_zip_bomb_is_refused_by_its_sizes(path):
    packed(path, ("schema.json", "{}"), ("bomb.npy", b"\0" * 50_000_000), compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    refused(path, r"would grow from \d\d,\d\d\d to 50,000,002 bytes when it is read: a zip bomb")


def test_a_bomb_of_entries_that_share_their_bytes_is_refused(path):
    """As Fifield (2019) makes them: each entry is honest about its size, but all point at the same data."""
    packed(path, *((f"{number}.npy", b"x" * 10_000) for number in range(50)))
    content = path.read_bytes()
    start = content.index(b"PK\x01\x02")
    central = bytearray(content[start:])
    place = 0
    while (place := central.find(b"PK\x01\x02", place)) >= 0:
        central[place + 42 : place + 46] = b"\0\0\0\0"
        place += 1
    local = content[: content.index(b"PK\x03\x04", 4)]
    end = central.rindex(b"PK\x05\x06")
    central[end + 16 : end + 20] = len(local).to_bytes(4, "little")
    path.write_bytes(local + bytes(central))
    refused(path, "would grow from .* to 500,000 bytes")


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "a/b", "..", "a\\b", "a\nb"])
def test_a_part_that_climbs_out_is_refused(name, path, tmp_path):
    packed(path, ("schema.json", "{}"), (name, "x"))
    refused(path, "holds a part called")
    assert [one.name for one in tmp_path.iterdir()] == ["estimator.skops"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_part_twice_is_refused(path):
    packed(path, ("schema.json", "{}"), ("schema.json", "{}"))
    refused(path, "'schema.json', or holds it twice")


def test_too_many_parts_are_refused(path, monkeypatch):
    monkeypatch.setattr(trusted, "_MOST_ENTRIES", 20)
    packed(path, *((f"{number}.npy", "") for number in range(21)))
    refused(path, "has 21 parts; raysweep reads up to 20")


def test_a_huge_schema_is_refused(path, monkeypatch):
    monkeypatch.setattr(trusted, "_LARGEST_SCHEMA", 1_000)
    packed(path, ("schema.json", "[" * 1_001))
    refused(path, r"the schema\.json in estimator\.skops is larger than 1,000 bytes")


@pytest.mark.parametrize(
    "schema",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        json.dumps({"__class__": "dict", "__module__": "builtins", "__loader__": "DictNode", "content": {}}),
        "not json",
        "",
    ],
    ids=["lists", "objects", "incomplete", "text", "empty"],
)
def test_a_schema_that_is_none_is_refused(schema, path):
    packed(path, ("schema.json", schema))
    refused(path, r"estimator\.skops cannot be read")


def test_an_array_that_claims_to_be_huge_is_refused(path):
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    (array,) = [name for name in parts if name.endswith(".npy")]
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**15,)})
    packed(path, *{**parts, array: header.getvalue() + b"\0" * 100}.items())
    refused(path, r"estimator\.skops cannot be read")


def test_an_array_of_objects_is_not_unpickled(path, tmp_path):
    class Harm:
        def __reduce__(self):
            return (tmp_path / "was-run").touch, ()

    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    (array,) = [name for name in parts if name.endswith(".npy")]
    content = io.BytesIO()
    harm = np.empty(1, object)
    harm[0] = Harm()
    np.save(content, harm, allow_pickle=True)
    packed(path, *{**parts, array: content.getvalue()}.items())
    refused(path, r"estimator\.skops cannot be read")
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize("content", [b"", b"PK", pickle.dumps([1]), b"\0" * 1_000])
def test_what_is_no_archive_is_refused(content, path):
    path.write_bytes(content)
    refused(path, r"estimator\.skops cannot be read")


@pytest.mark.parametrize(
    "content", [b"", b"{L", pickle.dumps({"a": 1}), b"{" * 100_000, b"{L\x00\x00\x00\x00\x7f\xff\xff\xff" * 9]
)
def test_a_model_of_xgboost_that_is_none_is_refused(content, tmp_path):
    fitted_pipeline("xgboost", TaskKind.BINARY).save(tmp_path)
    (tmp_path / "model.ubj").write_bytes(content)
    with pytest.raises(BundleRefused, match=r"model\.ubj cannot be read: .* at byte .*: it is no model"):
        load_pipeline(tmp_path, "xgboost", SETTING)


def test_a_torn_model_of_xgboost_is_refused_wherever_it_is_torn(tmp_path):
    fitted_pipeline("xgboost", TaskKind.BINARY).save(tmp_path)
    path = tmp_path / "model.ubj"
    whole = path.read_bytes()
    check_ubjson(path)
    for end in np.linspace(1, len(whole) - 1, 60).astype(int):
        path.write_bytes(whole[:end])
        with pytest.raises(BundleRefused, match="it is no model"):
            check_ubjson(path)
    path.write_bytes(whole + b"}")
    with pytest.raises(BundleRefused, match="it goes on after its end"):
        check_ubjson(path)


def test_an_object_of_xgboost_that_is_no_model_is_refused(tmp_path):
    fitted_pipeline("xgboost", TaskKind.BINARY).save(tmp_path)
    (tmp_path / "model.ubj").write_bytes(b"{L" + (7).to_bytes(8, "big") + b"learner{}}")
    with pytest.raises(BundleRefused, match="the model cannot be read"):
        load_pipeline(tmp_path, "xgboost", SETTING)
