"""Estimators that are not scikit-learn's, as users write them, for tests of own families."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin


class Centre:
    """A plain object inside of a fitted estimator."""

    def __init__(self, mean, rows):
        self.mean = mean
        self.rows = rows


class Centroids(ClassifierMixin, BaseEstimator):
    """Classes by the distance to their means."""

    def __init__(self, sharpness=1.0, metric="squared", random_state=None):
        self.sharpness = sharpness
        self.metric = metric
        self.random_state = random_state

    def fit(self, X, y, sample_weight=None):
        weight = np.ones(len(y)) if sample_weight is None else sample_weight
        self.classes_ = np.unique(y)
        self.n_features_in_ = X.shape[1]
        chosen = [y == value for value in self.classes_]
        self.centres_ = [Centre(np.average(X[rows], axis=0, weights=weight[rows]), int(rows.sum())) for rows in chosen]
        return self

    def predict_proba(self, X):
        gaps = np.stack([X - centre.mean for centre in self.centres_], axis=2)
        size = (gaps**2).sum(axis=1) if self.metric == "squared" else np.abs(gaps).sum(axis=1)
        score = -self.sharpness * size
        score = np.exp(score - score.max(axis=1, keepdims=True))
        return score / score.sum(axis=1, keepdims=True)

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


class Shrunk(RegressorMixin, BaseEstimator):
    """Least squares, shrunk towards the mean; takes no weights, no seed."""

    def __init__(self, shrinkage=0.1, n_jobs=None):
        self.shrinkage = shrinkage
        self.n_jobs = n_jobs

    def fit(self, X, y):
        self.mean_ = float(y.mean())
        self.weights_ = np.linalg.lstsq(X, y - self.mean_, rcond=None)[0]
        return self

    def predict(self, X):
        return self.mean_ + (1 - self.shrinkage) * (X @ self.weights_)


class BlindFarOut(Centroids):
    """Has no probabilities for rows that are far from all that it has seen."""

    def predict_proba(self, X):
        probability = super().predict_proba(X)
        probability[np.abs(X).max(axis=1) > 1_000] = np.nan
        return probability


class Restless(Centroids):
    """Says something a little different each time that it is asked."""

    def predict_proba(self, X):
        noise = np.random.default_rng().uniform(0, 1e-9)
        probability = super().predict_proba(X) * (1 - noise)
        probability[:, 0] += noise
        return probability
