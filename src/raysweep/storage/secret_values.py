"""The secrets in this process's environment, which nothing that is stored may hold."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

_SECRET_NAMES: Final = ("SECRET", "TOKEN", "PASSWORD", "ACCESS_KEY", "API_KEY")
_MIN_SECRET_LENGTH: Final = 12


def known_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """The values of variables that look as if they held a secret, by their names."""
    return {
        name: value
        for name, value in environment.items()
        if any(mark in name.upper() for mark in _SECRET_NAMES)
        and len(value) >= _MIN_SECRET_LENGTH
        and not os.path.exists(value)  # noqa: PTH110 - MY_TOKEN_FOLDER names a place; Path.exists fails on a long token
    }
