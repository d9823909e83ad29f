"""How a cluster is reached: the address of its dashboard, and the token that lets in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from raysweep.documents import shorten
from raysweep.errors import RequestInvalid

TOKEN_VARIABLES: Final = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


def check_address(address: str) -> str:
    """The address without a slash at its end.

    Raises:
        RequestInvalid: it is no http(s) address, or holds credentials.
    """
    scheme, divider, rest = address.partition("://")
    if not divider or scheme not in {"http", "https"} or not rest.strip("/"):
        raise RequestInvalid(
            f"--address {shorten(address)}: write it as http://head:8265 or https://..., the address of Ray's dashboard"
        )
    if "@" in rest.split("/", 1)[0]:
        raise RequestInvalid(f"--address holds a user name or password: a token is read from {TOKEN_VARIABLES[0]}")
    return address.rstrip("/")


def find_token(environment: Mapping[str, str]) -> str | None:
    """The token, where Ray looks for it: a variable, the file that another one names, in token mode a file at home.

    Raises:
        RequestInvalid: the file that is named holds none.
    """
    if environment.get(TOKEN_VARIABLES[0]):
        return environment[TOKEN_VARIABLES[0]].strip()
    named = environment.get(TOKEN_VARIABLES[1])
    if named:
        return _read_token(Path(named), lambda why: RequestInvalid(f"{TOKEN_VARIABLES[1]}: {named} {why}"))
    default = Path.home() / ".ray" / "auth_token"
    if environment.get("RAY_AUTH_MODE", "").lower() == "token" and default.is_file():
        return _read_token(default, lambda why: RequestInvalid(f"{default} {why}"))
    return None


def _read_token(path: Path, refusal: Callable[[str], Exception]) -> str:
    try:
        token = path.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise refusal(f"cannot be read: {getattr(error, 'strerror', error)}") from error
    if not token or any(not character.isprintable() or character.isspace() for character in token):
        raise refusal("holds no token")
    return token
