"""A bundle is published whole or not at all, and without secrets."""

import pytest

from raysweep.config import S3Config
from raysweep.errors import RaysweepError, RequestInvalid
from raysweep.stages.export.publish import _refuse_secrets, list_artifacts, publish
from raysweep.storage.open_store import open_store


@pytest.fixture
def bundle(tmp_path):
    folder = tmp_path / "outgoing"
    (folder / "data").mkdir(parents=True)
    for name in ("data/profile.json", "report.html", "SHA256SUMS", "manifest.json"):
        (folder / name).write_text(name)
    return folder


class Recording:
    """A store that notes the order of what it is given."""

    def __init__(self, inner):
        self.inner, self.order = inner, []

    def put(self, key, source):
        self.order.append(key)
        self.inner.put(key, source)

    def put_if_absent(self, key, source):
        self.order.append(key)
        return self.inner.put_if_absent(key, source)

    def __getattr__(self, name):
        return getattr(self.inner, name)


def test_the_manifest_comes_last(bundle, tmp_path):
    store = Recording(open_store(str(tmp_path / "runs"), S3Config()))
    publish(bundle, store)
    assert store.order == ["data/profile.json", "report.html", "SHA256SUMS", "manifest.json"]


def test_a_published_run_is_left_as_it_is(bundle, tmp_path):
    store = Recording(open_store(str(tmp_path / "runs"), S3Config()))
    publish(bundle, store)
    store.order.clear()
    with pytest.raises(RequestInvalid, match="is there already"):
        publish(bundle, store)
    assert store.order == []


def test_the_journal_is_no_artifact(bundle):
    (bundle / "journal").mkdir()
    (bundle / "journal/000001.jsonl").write_text("{}")
    assert "journal/000001.jsonl" not in [artifact.path for artifact in list_artifacts(bundle)]


def test_a_secret_is_refused_by_its_name_alone(bundle):
    (bundle / "report.html").write_text("password is hunter2-hunter2")
    with pytest.raises(RaysweepError, match="MY_PASSWORD stands in report") as refused:
        _refuse_secrets(bundle.rglob("*"), {"MY_PASSWORD": "hunter2-hunter2"})
    assert "hunter2" not in str(refused.value)


def test_a_variable_that_names_a_place_is_no_secret(bundle):
    (bundle / "report.html").write_text(str(bundle))
    _refuse_secrets(bundle.rglob("*"), {"MY_TOKEN_FOLDER": str(bundle)})
