"""A bundle that somebody has changed, and made all its sums right again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from raysweep.documents import canonical_json


def reseal(bundle: Path, **update: Any) -> None:
    """Make manifest and sums agree with the files, as somebody who means harm would; files that are gone are forgotten.

    Args:
        bundle: its folder.
        update: what the manifest shall say instead.
    """
    manifest = json.loads((bundle / "manifest.json").read_bytes()) | update
    manifest["artifacts"] = [one for one in manifest["artifacts"] if (bundle / one["path"]).is_file()]
    for one in manifest["artifacts"]:
        content = (bundle / one["path"]).read_bytes()
        one.update(sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))
    (bundle / "manifest.json").write_bytes(canonical_json(manifest))
    named = [*(one["path"] for one in manifest["artifacts"]), "manifest.json"]
    lines = [f"{hashlib.sha256((bundle / name).read_bytes()).hexdigest()}  {name}\n" for name in named]
    (bundle / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")
