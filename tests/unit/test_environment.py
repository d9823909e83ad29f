"""The packages of a result are those that are installed, read once, and read again when one is installed."""

from __future__ import annotations

from importlib.metadata import version

from raysweep.stages.export import environment as found


def install(place, name, number, origin=None):
    folder = place / f"{name}-{number}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n")
    if origin is not None:
        (folder / "direct_url.json").write_text(origin)


def test_what_is_installed():
    packages = found.packages()
    assert packages["xgboost"] == version("xgboost")
    assert list(packages) == sorted(packages, key=str.lower)
    assert f"numpy=={version('numpy')}\n" in found.lock()


def test_what_is_installed_meanwhile_is_seen_and_the_first_on_the_path_counts(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    install(tmp_path, "freshly", "1.0")
    assert found.packages()["freshly"] == "1.0"
    install(tmp_path, "xgboost", "99.9")
    assert found.packages()["xgboost"] == "99.9"


def test_the_lock_says_where_a_package_came_from_without_credentials(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    vcs = '{"url": "https://ann:pw@host/x.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}}'
    install(tmp_path, "of-git", "1.0", vcs)
    install(tmp_path, "of-a-folder", "2.0", '{"url": "file:///home/ann/x", "dir_info": {"editable": true}}')
    install(tmp_path, "of-a-file", "3.0", '{"url": "https://ann:pw@host/x.whl", "archive_info": {}}')
    install(tmp_path, "of-nowhere", "4.0", "no json")
    lines = found.lock().splitlines()
    assert "of-git @ git+https://host/x.git@abc" in lines
    assert "# of-a-folder==2.0 was installed from a folder" in lines
    assert "of-a-file @ https://host/x.whl" in lines
    assert "of-nowhere==4.0" in lines
