"""Writes the JSON schemas of the wheel anew; a test says when that is due.

A schema of a released version never changes but for what may be absent: another meaning is another version.
"""

from __future__ import annotations

from pathlib import Path

import raysweep.schemas
from raysweep.config import SweepConfig
from raysweep.documents import readable_json
from raysweep.records.manifest import Manifest
from raysweep.space import SearchSpace

DOCUMENTS = {"manifest-2": Manifest, "sweep-1": SweepConfig, "space-1": SearchSpace}


def schema_bytes(name: str) -> bytes:
    document = DOCUMENTS[name]
    mode = "serialization" if document is Manifest else "validation"
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return readable_json({"$schema": dialect, **document.model_json_schema(mode=mode, by_alias=True)})


if __name__ == "__main__":
    for name in raysweep.schemas.SCHEMAS:
        path = Path(raysweep.schemas.__file__).with_name(f"{name}.json")
        path.write_bytes(schema_bytes(name))
        print(path)
