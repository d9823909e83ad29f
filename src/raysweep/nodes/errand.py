"""What a node is asked, in code that travels there: it runs where another raysweep is installed, or none.

Only the standard library is used, and what comes back is plain values.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from raysweep.runtime.versions import installed_versions


def run_errand(asked: Mapping[str, Any], code: str) -> dict[str, Any]:
    """Look around on the node that this runs on.

    Args:
        asked: see `raysweep.nodes.inside.look_inside`.
        code: the digest of the asking process's raysweep: only the same one can look further than at versions.

    Returns:
        `versions`; `inside`, or `failed`, the reason why there is none; `clock`, in seconds since the epoch.
    """
    found: dict[str, Any] = {"versions": installed_versions()}
    if found["versions"].get("raysweep's code") == code:
        try:
            from raysweep.nodes.inside import look_inside

            found["inside"] = look_inside(asked)
        except Exception as error:  # noqa: BLE001 - whatever a strange machine raises is what is to be told
            found["failed"] = f"{type(error).__name__}: {error}"
    found["clock"] = time.time()
    return found
