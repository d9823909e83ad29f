"""The secrets in this process's environment, which nothing that is stored may hold."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
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


def find_secrets(value: object, secrets: Mapping[str, str], path: str = "") -> Iterator[tuple[str, str]]:
    """Where in a JSON value secrets stand: the path, and the name of the variable."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from find_secrets(str(key), secrets, path)
            yield from find_secrets(one, secrets, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for number, one in enumerate(value):
            yield from find_secrets(one, secrets, f"{path}[{number}]")
    elif isinstance(value, str):
        yield from ((path, name) for name, secret in secrets.items() if secret in value)


def masked(text: str, secrets: Mapping[str, str]) -> str:
    """The text with the name of its variable in the place of each secret."""
    for name, secret in sorted(secrets.items(), key=lambda one: -len(one[1])):  # one may be a part of another
        text = text.replace(secret, f"<{name}>")
    return text
