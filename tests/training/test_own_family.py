"""An estimator of the user's own as a family: what is refused, what it is given, how it is written and read back."""

from __future__ import annotations

import pickle
import sys
import textwrap
import warnings

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import ExtraTreesClassifier, GradientBoostingClassifier, GradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import SVC, LinearSVC

import raysweep
from builders import arrow_of, clean_table
from own_estimators import Centroids, Shrunk
from raysweep.config import TaskKind
from raysweep.errors import BundleRefused, RequestInvalid
from raysweep.records.metric import metric_for
from raysweep.records.table import LearningTask
from raysweep.records.trial import Candidate
from raysweep.runtime.ray_carry import carry
from raysweep.space import load_space
from raysweep.training import families as registry
from raysweep.training.evaluate import TrialRules, evaluate
from raysweep.training.families import added_families, check_space, families, take_up
from raysweep.training.learner import FitSetting, Matrix
from raysweep.training.own_export import declared_types, estimator_source, why_no_model
from raysweep.training.pipeline import load_pipeline
from raysweep.training.refit import fit_pipeline
from raysweep.training.trial_data import PreparedRows, RowBlock, SearchRows
from raysweep.training.trusted import TRUSTED_TYPES

RULES = TrialRules((1 / 3, 1.0), threads=1)
CENTROIDS = {"classifier": Centroids, "defaults": {"sharpness": 1.0}, "trusted": ("own_estimators.Centre",)}
SHRUNK = {"regressor": Shrunk, "defaults": {"shrinkage": 0.1}}
ROWS, TRAINING = 160, 110


@pytest.fixture(autouse=True)
def nothing_stays_registered(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def task_and_rows(kind, *, weighted=True):
    frame = clean_table(ROWS, seed=1, task=kind.value)
    number = frame.select_dtypes("float").columns.drop("target", errors="ignore")[0]
    frame.loc[::9, number] = np.nan
    arrow, columns = arrow_of(frame)
    features = tuple(column for column in columns if column.name != "target")
    target = frame["target"].to_numpy()
    classes = () if kind is TaskKind.REGRESSION else tuple(np.unique(target).tolist())
    y = np.searchsorted(classes, target).astype(float) if classes else target.astype(float)
    task = LearningTask(kind, "target", metric_for(None, kind), features, classes, (1,) * len(classes))
    weight = np.random.default_rng(0).uniform(0.5, 2, ROWS) if weighted else None
    return task, RowBlock(arrow.select([column.name for column in features]), y, weight)


def prepared_rows(kind, folds=1, **options):
    task, block = task_and_rows(kind, **options)
    fold_of_row = np.arange(ROWS) % folds if folds > 1 else np.zeros(0, dtype=np.int64)
    rows = SearchRows(block.take(slice(0, TRAINING)), block.take(slice(TRAINING, ROWS)), fold_of_row, folds)
    return PreparedRows(task, rows, seed=0)


def candidate_of(name, **params):
    family = families()[name]
    return Candidate(0, name, {**family.defaults, **params}, name, "default", seed=11, rounds=family.rounds)


def fitted(name, kind, **params):
    task, block = task_and_rows(kind)
    rounds = families()[name].rounds
    return fit_pipeline(candidate_of(name, **params), task, block, RULES, rounds=rounds, seed=0), task, block


@pytest.mark.parametrize("folds", [1, 3])
@pytest.mark.parametrize("kind", list(TaskKind))
def test_it_learns_like_a_shipped_family(kind, folds):
    raysweep.register_family("own", regressor=Shrunk, classifier=None, defaults={"shrinkage": 0.1})
    raysweep.register_family("centroids", **CENTROIDS)
    name = "own" if kind is TaskKind.REGRESSION else "centroids"
    rules = TrialRules((1 / 3, 2 / 3, 1.0), threads=1)
    first, again = (list(evaluate(candidate_of(name), prepared_rows(kind, folds), rules)) for _ in range(2))
    assert [one.score for one in first] == [one.score for one in again]
    assert np.isfinite([one.score for one in first]).all()
    assert first[-1].is_last
    assert families()[name].tasks == ({kind} if name == "own" else {TaskKind.BINARY, TaskKind.MULTICLASS})


@pytest.mark.parametrize(
    ("name", "arguments", "kind"),
    [
        ("centroids", CENTROIDS, TaskKind.BINARY),
        ("centroids", CENTROIDS, TaskKind.MULTICLASS),
        ("shrunk", SHRUNK, TaskKind.REGRESSION),
        ("bayes", {"classifier": GaussianNB, "defaults": {"var_smoothing": 1e-9}}, TaskKind.BINARY),
    ],
)
@pytest.mark.parametrize("encoding", ["ordinal", "target"])
def test_it_is_read_back_as_it_was_written(name, arguments, kind, encoding, tmp_path):
    raysweep.register_family(name, **arguments)
    pipeline, task, block = fitted(name, kind, encoding=encoding)
    pipeline.save(tmp_path)
    setting = FitSetting(kind, len(task.classes), 0, 1, 1, task.metric.name)
    loaded = load_pipeline(tmp_path, name, setting)
    assert loaded.predict(block.features).tobytes() == pipeline.predict(block.features).tobytes()
    assert not why_no_model(pipeline)


def test_a_fit_travels_between_processes():
    raysweep.register_family("centroids", **CENTROIDS)
    pipeline, _, block = fitted("centroids", TaskKind.BINARY)
    there = pickle.loads(pickle.dumps(pipeline))  # noqa: S301 - our own
    assert there.predict(block.features).tobytes() == pipeline.predict(block.features).tobytes()
    assert type(there.learner) is type(pipeline.learner)


def test_seed_threads_and_weights_are_given_to_what_takes_them():
    seen = {}

    class Curious(Centroids):
        def __init__(self, sharpness=1.0, random_state=None, n_jobs=None):
            super().__init__(sharpness, random_state=random_state)
            self.n_jobs = n_jobs

        def fit(self, X, y, sample_weight=None):
            seen.update(seed=self.random_state, threads=self.n_jobs, weight=sample_weight)
            return super().fit(X, y, sample_weight)

    raysweep.register_family("curious", classifier=Curious, defaults={"sharpness": 2.0})
    task, block = task_and_rows(TaskKind.BINARY)
    fit_pipeline(candidate_of("curious"), task, block, TrialRules((1.0,), threads=3), rounds=None, seed=0)
    assert (seen["seed"], seen["threads"]) == (11, 3)
    assert seen["weight"].tobytes() == block.weight.tobytes()
    raysweep.register_family("shrunk", **SHRUNK)
    list(evaluate(candidate_of("shrunk"), prepared_rows(TaskKind.REGRESSION), RULES))  # takes no weights and no seed


def test_less_effort_is_fewer_rows_or_fewer_rounds(monkeypatch):
    monkeypatch.setattr("raysweep.training.sklearn_family.MIN_ROWS", 20)
    raysweep.register_family("centroids", **CENTROIDS)
    reports = list(evaluate(candidate_of("centroids"), prepared_rows(TaskKind.BINARY), RULES))
    assert [one.is_whole for one in reports] == [False, True]
    raysweep.register_family(
        "boosted",
        classifier=GradientBoostingClassifier,
        regressor=GradientBoostingRegressor,
        defaults={"max_depth": 3},
        growing="n_estimators",
        rounds=9,
    )
    for kind in (TaskKind.BINARY, TaskKind.REGRESSION):
        reports = list(evaluate(candidate_of("boosted"), prepared_rows(kind), RULES))
        assert [one.rounds for one in reports] == [3, 9]
        pipeline, *_ = fitted("boosted", kind)
        assert not why_no_model(pipeline)
        assert pipeline.learner._model.n_estimators_ == 9


def test_what_takes_missing_values_gets_them():
    raysweep.register_family("trees", classifier=ExtraTreesClassifier, defaults={"max_depth": 4})
    raysweep.register_family("bayes", classifier=GaussianNB, defaults={})
    raysweep.register_family("plain", classifier=GaussianNB, defaults={}, scaled=False)
    assert [families()[name].scaled for name in ("trees", "bayes", "plain")] == [False, True, False]
    assert families()["bayes"].defaults == {"encoding": "ordinal"}
    raysweep.register_family(
        "logistic", classifier=LogisticRegression, defaults={"C": 1.0}, encodings=["onehot", "target"]
    )
    list(evaluate(candidate_of("logistic"), prepared_rows(TaskKind.BINARY), RULES))
    assert families()["logistic"].defaults == {"encoding": "onehot", "C": 1.0}


def test_a_space_may_name_it():
    section = {"params": {"sharpnes": {"float": [0.1, 10], "log": True}, "encoding": {"choice": ["onehot"]}}}
    space = load_space({"version": 1, "families": {"centroids": section}}, base=None)
    with pytest.raises(RequestInvalid, match="unknown family"):
        check_space(space)
    raysweep.register_family("centroids", **CENTROIDS)
    with pytest.raises(RequestInvalid, match="no parameter 'sharpnes', did you mean 'sharpness'"):
        check_space(space)
    right = {"params": {"sharpness": {"float": [0.1, 10], "log": True}, "encoding": {"choice": ["onehot"]}}}
    with pytest.raises(RequestInvalid, match="no encoding 'onehot'"):
        check_space(load_space({"version": 1, "families": {"centroids": right}}, base=None))


class NoFit:
    def get_params(self):
        return {}


class Choosy(Centroids):
    def __init__(self, sharpness=1.0):
        if sharpness < 1:
            raise ValueError("too dull")
        super().__init__(sharpness)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "give classifier=, regressor=, or both"),
        ({"classifier": GaussianNB()}, r"GaussianNB\(\) is no class: give the class itself"),
        ({"classifier": NoFit}, "NoFit is not scikit-learn-compatible: it has no set_params, fit, predict"),
        ({"classifier": LinearSVC}, "LinearSVC has no predict_proba"),
        ({"classifier": SVC}, "SVC has no predict_proba"),
        (
            {"classifier": GaussianNB, "defaults": {"var_smoothin": 1.0}},
            "GaussianNB has no parameter 'var_smoothin', did",
        ),
        ({"classifier": Centroids, "regressor": Shrunk, "defaults": {"sharpness": 1.0}}, "Shrunk has no parameter"),
        ({"classifier": Centroids, "defaults": {"random_state": 1}}, "'random_state' derives from the sweep's seed"),
        ({"classifier": Centroids, "defaults": {"sharpness": [1]}}, "'sharpness' is a list, and a space holds"),
        ({"classifier": Centroids, "encodings": ["ordnal"]}, "no encoding 'ordnal', did you mean 'ordinal'"),
        ({"classifier": Centroids, "encodings": []}, "must name one at least"),
        ({"classifier": Centroids, "defaults": {"encoding": "onehot"}}, "'onehot' is not among encodings"),
        ({"classifier": Centroids, "growing": "n_estimators"}, "go together"),
        ({"classifier": Centroids, "growing": "trees", "rounds": 5}, "has no parameter 'trees', and cannot go on"),
        ({"classifier": ExtraTreesClassifier, "growing": "n_estimators", "rounds": 0}, "rounds must be 1 or more"),
        ({"classifier": Centroids, "trusted": ["Centre"]}, "'Centre' is no dotted name"),
        (
            {"classifier": Choosy, "defaults": {"sharpness": 0.5}},
            "cannot be made with its defaults: ValueError: too dull",
        ),
        ({"classifier": Centroids}, r"a fitted Centroids holds types .*trusted=\('own_estimators.Centre',\)"),
    ],
)
def test_what_cannot_be_a_family_is_refused(arguments, words):
    with pytest.raises(RequestInvalid, match=words):
        raysweep.register_family("mine", **{"defaults": {}, **arguments})
    assert "mine" not in families()


@pytest.mark.parametrize("name", ["", "naive bayes", "9lives", "ä"])
def test_names_are_words(name):
    with pytest.raises(RequestInvalid, match="its name must be letters"):
        raysweep.register_family(name, **CENTROIDS)


def test_shipped_names_are_taken_and_own_ones_are_replaced():
    with pytest.raises(RequestInvalid, match="'ridge' is a family that comes with raysweep"):
        raysweep.register_family("ridge", **SHRUNK)
    raysweep.register_family("mine", **CENTROIDS)
    second = raysweep.register_family("mine", **SHRUNK)
    assert families()["mine"] is second
    assert added_families() == (second,)


def test_making_a_family_registers_nothing():
    made = raysweep.make_family("mine", **CENTROIDS)
    assert isinstance(made, raysweep.Family)
    assert "mine" not in families()


def test_a_class_that_cannot_be_imported_elsewhere_gives_no_model():
    class Local(Centroids):
        pass

    with pytest.warns(UserWarning, match="Local is defined in a notebook, a script or a function"):
        raysweep.register_family("local", classifier=Local, defaults={})
    pipeline, *_ = fitted("local", TaskKind.BINARY)
    assert "Local is defined in a notebook, a script or a function" in why_no_model(pipeline)


def test_types_that_are_not_declared_give_no_model():
    take_up([raysweep.make_family("centroids", classifier=Centroids, defaults={})])
    pipeline, *_ = fitted("centroids", TaskKind.BINARY)
    assert "declare them with trusted=('own_estimators.Centre',)" in why_no_model(pipeline)


def test_what_is_not_declared_here_is_not_loaded(tmp_path):
    raysweep.register_family("centroids", **CENTROIDS)
    pipeline, task, _ = fitted("centroids", TaskKind.BINARY)
    pipeline.save(tmp_path)
    assert declared_types("centroids") == ("own_estimators.Centre", "own_estimators.Centroids")
    assert set(skops.io.get_untrusted_types(file=tmp_path / "estimator.skops")) - set(TRUSTED_TYPES) == set(
        declared_types("centroids")
    )
    take_up([raysweep.make_family("centroids", classifier=GaussianNB, defaults={})])
    with pytest.raises(BundleRefused, match=r"does not trust: own_estimators\.Centre, own_estimators\.Centroids"):
        load_pipeline(tmp_path, "centroids", FitSetting(TaskKind.BINARY, 2, 0, 1, 1, task.metric.name))


def test_where_a_class_comes_from():
    raysweep.register_family("bayes", classifier=GaussianNB, defaults={})
    raysweep.register_family("centroids", **CENTROIDS)
    source = estimator_source(fitted("bayes", TaskKind.BINARY)[0])
    assert source.type == "sklearn.naive_bayes.GaussianNB"
    assert source.package.startswith("scikit-learn 1.")
    assert estimator_source(fitted("centroids", TaskKind.BINARY)[0]).package == ""
    assert estimator_source(fitted("logistic_regression", TaskKind.BINARY)[0]) is None


def test_families_are_carried_with_the_folders_that_they_are_imported_from(tmp_path, monkeypatch):
    assert carry(()).folders == ()
    (tmp_path / "elsewhere.py").write_text("from own_estimators import Shrunk\nclass Mine(Shrunk):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    import elsewhere

    raysweep.register_family("mine", regressor=elsewhere.Mine, defaults={})
    packed = carry(added_families())
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one != str(tmp_path)])
    monkeypatch.delitem(sys.modules, "elsewhere")
    (there,) = packed.unpack()
    assert there.own.regressor.__name__ == "Mine"
    assert sys.path[-1] == str(tmp_path)
    monkeypatch.delitem(sys.modules, "elsewhere")
    sys.path.pop()
    (tmp_path / "elsewhere.py").unlink()
    with pytest.raises(RequestInvalid, match=r"No module named 'elsewhere'.*every node"):
        packed.unpack()


def install(folder, module, *, point="bayes = bayes_package:FAMILY"):
    (folder / "bayes_package.py").write_text(textwrap.dedent(module))
    info = folder / "bayes_package-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bayes-package\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text(f"[raysweep.families]\n{point}\n")
    (info / "RECORD").write_text("bayes_package.py,,\n")


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """`installed(module)`: a package whose entry point is a family, until the test ends."""

    def call(module, **options):
        install(tmp_path, module, **options)
        monkeypatch.syspath_prepend(tmp_path)
        registry._installed.cache_clear()

    yield call
    sys.modules.pop("bayes_package", None)
    monkeypatch.undo()
    registry._installed.cache_clear()


PACKAGE = """
    import raysweep
    from sklearn.naive_bayes import GaussianNB

    class Bayes(GaussianNB):
        pass

    FAMILY = raysweep.make_family("bayes", classifier=Bayes, defaults={"var_smoothing": 1e-9})
"""


def test_an_installed_package_brings_a_family(installed):
    installed(PACKAGE)
    assert families()["bayes"].tasks == {TaskKind.BINARY, TaskKind.MULTICLASS}
    pipeline, *_ = fitted("bayes", TaskKind.BINARY)
    source = estimator_source(pipeline)
    assert (source.type, source.package) == ("bayes_package.Bayes", "bayes-package 1.5")
    with pytest.raises(RequestInvalid, match=r"'bayes' is a family of the installed package bayes-package 1\.5"):
        raysweep.register_family("bayes", **CENTROIDS)


@pytest.mark.parametrize(
    ("module", "point", "words"),
    [
        ("import no_such_thing", "bayes = bayes_package:FAMILY", "cannot be loaded: ModuleNotFoundError"),
        ("FAMILY = 3", "bayes = bayes_package:FAMILY", r"is a int, not what raysweep\.make_family gives"),
        (PACKAGE, "naive = bayes_package:FAMILY", "calls itself 'bayes'"),
    ],
)
def test_a_broken_entry_point_is_named(installed, module, point, words):
    installed(module, point=point)
    with pytest.raises(RequestInvalid, match=rf"package bayes-package 1\.5 in the group raysweep\.families.*{words}"):
        families()


def test_probabilities_for_a_class_that_was_not_seen():
    raysweep.register_family("centroids", **CENTROIDS)
    learner = families()["centroids"].load_learner()({}, FitSetting(TaskKind.MULTICLASS, 3, 0, 1, 1, "log_loss"))
    values = np.random.default_rng(0).normal(size=(20, 2))
    learner.grow(Matrix(values, np.arange(20.0) % 2 * 2, None, (), {}), 1.0)
    predicted = learner.predict(Matrix(values, np.zeros(20), None, (), {}))
    assert predicted.shape == (20, 3)
    assert not predicted[:, 1].any()
