"""How a cluster is reached: the address of its dashboard, and the token that lets in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from raysweep.documents import shorten
from raysweep.errors import RequestInvalid

TOKEN_VARIABLES: Final = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


def check_address(address: str) -> str:
    """The address without a slash at its end.

    Raises:
        RequestInvalid: it is no http(s) address, or holds credentials.
    """
    if "@" in address.partition("://")[2].split("/", 1)[0]:
        raise RequestInvalid(f"--address holds a user name or password: a token is read from {TOKEN_VARIABLES[0]}")
    plain = address.strip()
    if not _is_web_address(plain):
        raise RequestInvalid(
            f"--address {shorten(plain)}: write it as http://head:8265 or https://..., the address of Ray's dashboard"
        )
    return plain.rstrip("/")


def _is_web_address(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and _is_bare(address)
    except ValueError:  # of a port that is none, or half an IPv6 address
        return False


def _is_bare(address: str) -> bool:
    return address.isascii() and not set(address) & set("?# \t\r\n")


def find_token(environment: Mapping[str, str]) -> str | None:
    """The token, where Ray looks for it: a variable, the file that another one names, in token mode a file at home.

    Raises:
        RequestInvalid: what should hold one does not; the value is never repeated.
    """
    if environment.get(TOKEN_VARIABLES[0]):
        return _checked(environment[TOKEN_VARIABLES[0]], lambda why: RequestInvalid(f"{TOKEN_VARIABLES[0]} {why}"))
    named = environment.get(TOKEN_VARIABLES[1])
    if named:
        return _read_token(Path(named), lambda why: RequestInvalid(f"{TOKEN_VARIABLES[1]}: {named} {why}"))
    default = Path.home() / ".ray" / "auth_token"
    if environment.get("RAY_AUTH_MODE", "").lower() == "token" and default.is_file():
        return _read_token(default, lambda why: RequestInvalid(f"{default} {why}"))
    return None


def _read_token(path: Path, refusal: Callable[[str], Exception]) -> str:
    try:
        text = path.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise refusal(f"cannot be read: {getattr(error, 'strerror', error)}") from error
    return _checked(text, refusal)


def _checked(text: str, refusal: Callable[[str], Exception]) -> str:
    """The token in a text, fit for the header of a request."""
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise refusal("holds no token: one is visible ASCII characters without a blank")
    return token
