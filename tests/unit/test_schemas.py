"""The JSON schemas in the wheel are those of the documents, and say yes and no as the documents do."""

from __future__ import annotations

import json
from copy import deepcopy

import jsonschema
import pytest

from raysweep.schemas import SCHEMAS, read_schema
from write_schemas import schema_bytes


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schema_is_that_of_the_document(name):
    assert read_schema(name) == json.loads(schema_bytes(name)), "python tests/write_schemas.py"
    jsonschema.Draft202012Validator.check_schema(read_schema(name))


def test_a_sweep_file_is_checked_as_raysweep_checks_it():
    good = {"version": 1, "data": {"source": "t.csv", "target": "y"}}
    jsonschema.validate(good, read_schema("sweep-1"))
    for path, value in (("data", {}), ("serach", {}), ("version", 2)):
        bad = deepcopy(good) | {path: value}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, read_schema("sweep-1"))
