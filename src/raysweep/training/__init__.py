"""One trial in one process: knows scikit-learn and XGBoost, not Ray."""
