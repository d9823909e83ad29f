"""An estimator of the user's own from search to a bundle that another process loads."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import raysweep
from builders import clean_table
from own_estimators import Restless
from raysweep.errors import BundleRefused, RequestInvalid
from raysweep.runtime import ray_session as starting
from raysweep.training import families as registry
from sweep_builders import RANDOM_ONE_SLOT, read_document, sweep_keys

TESTS = Path(__file__).parents[1]
README = TESTS.parent / "README.md"
REGISTER = """
    import raysweep
    from own_estimators import Centroids
    raysweep.register_family(
        "centroids", classifier=Centroids, defaults={"sharpness": 1.0}, trusted=("own_estimators.Centre",)
    )
"""
PACKAGE = """
    import raysweep
    from sklearn.naive_bayes import GaussianNB

    class Bayes(GaussianNB):
        pass

    FAMILY = raysweep.make_family("bayes", classifier=Bayes, defaults={"var_smoothing": 1e-9})
"""
CELL = """
    import os
    import pathlib

    import raysweep
    from own_estimators import Centroids

    class Mine(Centroids):
        def fit(self, X, y):
            pathlib.Path(SEEN, str(os.getpid())).touch()
            return super().fit(X, y)

    raysweep.register_family("mine", classifier=Mine, defaults={"sharpness": 1.0})
"""


@pytest.fixture(autouse=True)
def nothing_stays_registered(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    yield
    registry._installed.cache_clear()


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "table.parquet"
    clean_table(600, seed=3, task="binary").to_parquet(path)
    return path


def python(*pieces, paths=()):
    """A fresh process that finds modules in these folders."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    done = subprocess.run(
        [sys.executable, "-c", "".join(map(textwrap.dedent, pieces))],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    return done.stdout + done.stderr


def searched(family, **params):
    """Keys of a quick sweep over one family."""
    space = {"version": 1, "families": {family: {"params": params}}}
    return {
        "search": {**RANDOM_ONE_SLOT, "trials": 3, "space": space},
        "split": {"folds": 1},
        "checks": {"preset": "lenient"},
    }


def test_a_registered_estimator_ships_and_is_loaded_elsewhere(ray_session, table, tmp_path):
    exec(textwrap.dedent(REGISTER), {})  # noqa: S102 - the same lines as in the other process
    sections = searched("centroids", sharpness={"float": [0.01, 10], "log": True}, encoding={"choice": ["target"]})
    result = raysweep.run_sweep(sweep_keys(tmp_path, source=table, **sections), run_id="own")
    bundle = str(tmp_path / "own")
    assert [trial.state.value for trial in result.search.trials] == ["complete"] * 3
    assert result.search.trials[0].candidate.params == {"encoding": "ordinal", "sharpness": 1.0}
    assert result.without_model == ""
    model = read_document(tmp_path / "own", "manifest.json")["model"]
    assert (model["estimator"], model["package"]) == ("own_estimators.Centroids", None)
    assert {"own_estimators.Centre", "own_estimators.Centroids"} <= set(model["trusted_types"])

    use = f"""
        import warnings, pandas as pd
        warnings.simplefilter("ignore")
        print("verified", raysweep.verify({bundle!r}).problems)
        print("predicted", len(raysweep.load_model({bundle!r}).predict(pd.read_parquet({str(table)!r}))))
    """
    said = python(REGISTER, use, paths=[TESTS])
    assert "verified ()" in said
    assert "predicted 600" in said
    said = python("import raysweep", use, paths=[TESTS])
    assert "golden.parquet: cannot be predicted again" in said
    assert "own_estimators.Centroids (in no installed package). Import it and call raysweep.register_family" in said


def test_an_estimator_of_an_installed_package(ray_session, table, tmp_path, monkeypatch):
    packages = tmp_path / "packages"
    install(packages)
    monkeypatch.syspath_prepend(packages)
    registry._installed.cache_clear()
    sections = searched("bayes", var_smoothing={"float": [1e-12, 0.1], "log": True})
    sections["search"] |= {"algorithm": "grid", "trials": 100}
    result = raysweep.run_sweep(sweep_keys(tmp_path, source=table, **sections), run_id="own")
    assert result.search.stopped_by == "the space has no further candidates"
    assert [trial.candidate.origin for trial in result.search.trials] == ["default"] + ["grid"] * 5
    model = read_document(tmp_path / "own", "manifest.json")["model"]
    assert (model["estimator"], model["package"]) == ("bayes_package.Bayes", "bayes-package 1.5")
    verify = f"""
        from raysweep.cli.main import main
        main(["verify", {str(tmp_path / "own")!r}])
    """
    assert "files are as they were published" in python(verify, paths=[packages])
    assert "bayes_package.Bayes (bayes-package 1.5). Import it" in " ".join(python(verify).split())


def test_a_module_that_the_workers_do_not_find_is_named(ray_session, table, tmp_path, monkeypatch):
    (tmp_path / "gone_module.py").write_text("from own_estimators import Centroids\nclass Gone(Centroids):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    import gone_module

    raysweep.register_family("gone", classifier=gone_module.Gone, defaults={}, trusted=["own_estimators.Centre"])
    (tmp_path / "gone_module.py").unlink()
    with pytest.raises(RequestInvalid, match="No module named 'gone_module'; install its package on every node"):
        raysweep.run_sweep(sweep_keys(tmp_path, source=table, **searched("gone")), run_id="own")


def install(folder):
    info = folder / "bayes_package-1.5.dist-info"
    info.mkdir(parents=True)
    (folder / "bayes_package.py").write_text(textwrap.dedent(PACKAGE))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bayes-package\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text("[raysweep.families]\nbayes = bayes_package:FAMILY\n")
    (info / "RECORD").write_text("bayes_package.py,,\n")


@pytest.fixture
def ray_of_its_own(ray_session, monkeypatch):
    """The sweep takes the Ray that runs for one that it has started."""
    monkeypatch.setattr(starting, "_describe", lambda is_ours, found=starting._describe: found(is_ours=True))  # noqa: ARG005


def test_a_class_of_a_notebook_is_searched_and_ships_no_model(ray_of_its_own, table, tmp_path):
    seen = tmp_path / "seen"
    seen.mkdir()
    with pytest.warns(UserWarning, match="Mine is defined in a notebook"):
        exec(textwrap.dedent(CELL), {"__name__": "__main__", "SEEN": str(seen)})  # noqa: S102 - cells live in __main__
    sections = searched("mine", sharpness={"float": [0.01, 10], "log": True})
    sections["search"]["concurrency"] = "auto"
    sections["search"]["space"]["families"]["logistic_regression"] = {}
    result = raysweep.run_sweep(sweep_keys(tmp_path, source=table, export={"top": 4}, **sections), run_id="own")
    assert {trial.state.value for trial in result.search.trials} == {"complete"}
    assert len(list(seen.iterdir())) <= 2, "the final check runs in the processes that have searched"
    bundle = tmp_path / "own"
    manifest = read_document(bundle, "manifest.json")
    assert result.best.family == "mine"
    assert manifest["outcome"] == "done"
    assert manifest["final_check"]["verdict"] == result.verdict.value
    assert manifest["model"] is None
    assert manifest["without_model"] == result.without_model
    assert "__main__.Mine is defined in a notebook, a script or a function" in result.without_model
    assert "without a model" in repr(result)
    assert read_document(bundle, "config/params.json")["family"] == "mine"
    for folder in sorted((bundle / "best").iterdir()):
        own = read_document(folder, "params.json")
        assert (own["without_model"] is None) == (own["family"] == "logistic_regression") == (folder / "model").exists()
    assert not (bundle / "model").exists()
    assert not (bundle / "golden.parquet").exists()
    for page in ("report.html", "MODEL_CARD.md"):
        text = (bundle / page).read_text()
        assert "No model is published" in text
        assert "load_model" not in text
    assert raysweep.verify(bundle).ok
    with pytest.raises(BundleRefused, match=r"holds no model: __main__\.Mine is defined in a notebook"):
        raysweep.load_model(bundle)


def test_a_model_that_another_process_cannot_repeat_is_not_published(ray_session, table, tmp_path):
    """Nothing else is lost: verdict, parameters and report are there, and say why."""
    raysweep.register_family("restless", classifier=Restless, defaults={}, trusted=("own_estimators.Centre",))
    keys = sweep_keys(tmp_path, source=table, export={"formats": ["native", "onnx"]}, **searched("restless"))
    result = raysweep.run_sweep(keys, run_id="own")
    manifest = read_document(tmp_path / "own", "manifest.json")
    assert "the parity gate refused it: loaded in another process, it predicts otherwise" in result.without_model
    assert manifest["without_model"] == result.without_model
    assert manifest["model"] is None
    assert manifest["final_check"]["verdict"] == result.verdict.value
    native, onnx = manifest["formats"]
    assert (native["published"], onnx["published"]) == (False, False)
    assert 0 < native["difference"] < 1e-8
    files = {path.relative_to(tmp_path / "own").as_posix() for path in (tmp_path / "own").rglob("*") if path.is_file()}
    assert not any(name.startswith("model/") or name in {"golden.parquet", "config/serving.txt"} for name in files)
    assert "config/params.json" in files
    assert "No model is published" in (tmp_path / "own/report.html").read_text()
    assert raysweep.verify(tmp_path / "own").ok
    with pytest.raises(BundleRefused, match="holds no model: the parity gate refused it"):
        raysweep.load_model(tmp_path / "own")


def test_the_example_of_the_readme(ray_session, table, tmp_path, monkeypatch):
    section = README.read_text().partition("## An estimator of your own")[2]
    (example,) = re.findall(r"```python\n(.*?)```", section.partition("\n## ")[0], flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    there = {"df": clean_table(600, seed=3, task="binary").rename(columns={"target": "late"})}
    exec(example, there)  # noqa: S102 - what it is about
    families = {trial.candidate.family for trial in there["result"].search.trials}
    assert families == {"naive_bayes", "xgboost"}
    assert len(there["result"].search.trials) <= 20
    assert raysweep.verify(there["result"].bundle_url).ok
