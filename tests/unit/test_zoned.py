"""Times with a zone are the same instants where something imported has told Arrow to forget zones."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from raysweep.bundle.inputs import features_of
from raysweep.config import TaskKind
from raysweep.records.manifest import InputColumn, Signature
from raysweep.records.table import ColumnKind
from raysweep.rows.zoned import arrow_of
from raysweep.stages.source.frames import frame_to_arrow

EAST = timezone(timedelta(hours=1))
BERLIN = pd.Timestamp("2020-01-02T01:00", tz="Europe/Berlin")
SUMMER = datetime(2020, 7, 2, 2, tzinfo=EAST)
PLAIN = datetime(2020, 1, 2)  # noqa: DTZ001
NOON = datetime(2020, 7, 2, 1)  # noqa: DTZ001 - SUMMER, in UTC
FINE = pd.Timestamp("2020-01-02T01:00:00.000000001", tz="Europe/Berlin")


@pytest.fixture(params=["", "1"], ids=["zones", "told to forget zones"])
def _told(request, monkeypatch):
    monkeypatch.setenv("PYARROW_IGNORE_TIMEZONE", request.param)


def instants(values):
    return values.cast(pa.timestamp("us")).to_pylist()


@pytest.mark.usefixtures("_told")
@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([BERLIN], [PLAIN]),
        ([BERLIN, SUMMER, PLAIN], [PLAIN, NOON, PLAIN]),
        ([PLAIN, None, BERLIN], [PLAIN, None, PLAIN]),
        ([None, pd.NaT, SUMMER], [None, None, NOON]),
        ([PLAIN, PLAIN], [PLAIN, PLAIN]),
    ],
)
def test_single_values_are_the_instants_that_they_are(values, wanted):
    assert instants(arrow_of(values)) == wanted
    assert instants(arrow_of(pd.Series(values, dtype=object))) == wanted
    frame = pd.DataFrame({"at": pd.Series(values, dtype=object)})
    assert instants(frame_to_arrow(frame).column("at")) == wanted


@pytest.mark.usefixtures("_told")
def test_columns_of_pandas_with_a_zone_and_other_values_are_as_before():
    zoned = pd.Series([BERLIN, pd.NaT])
    assert arrow_of(zoned).type.tz == "Europe/Berlin"
    assert instants(arrow_of(zoned)) == [PLAIN, None]
    assert arrow_of(["a", None]).to_pylist() == ["a", None]
    assert arrow_of(pd.Series([1.5, np.nan])).to_pylist() == [1.5, None]
    assert arrow_of(pd.Series(["a", "b"], dtype="category")).type == pa.dictionary(pa.int8(), pa.large_string())


def test_the_unit_is_the_one_that_arrow_finds(monkeypatch):
    monkeypatch.delenv("PYARROW_IGNORE_TIMEZONE", raising=False)
    units = [arrow_of([value]).type.unit for value in (FINE, SUMMER)]
    monkeypatch.setenv("PYARROW_IGNORE_TIMEZONE", "1")
    assert [arrow_of([value]).type.unit for value in (FINE, SUMMER)] == units


@pytest.mark.usefixtures("_told")
@pytest.mark.parametrize("rows", [1, 3, 200])
@pytest.mark.parametrize("value", [BERLIN, datetime(2020, 1, 2, 1, tzinfo=EAST), datetime(2020, 1, 2, tzinfo=UTC)])
def test_a_model_sees_the_instant_in_a_frame_and_in_rows(value, rows):
    signature = Signature(
        inputs=(InputColumn(name="at", kind=ColumnKind.DATETIME, type="timestamp[us]"),),
        target="y",
        task=TaskKind.REGRESSION,
    )
    frame = pd.DataFrame({"at": pd.Series([value] * rows, dtype=object)})
    for data in (frame, [{"at": value}] * rows):
        assert features_of(data, signature).column("at").to_pylist() == [PLAIN] * rows


def test_checking_a_schema_leaves_the_environment_of_its_process_alone():
    code = (
        "import os; before = dict(os.environ)\n"
        "from raysweep.stages.validate.user_schema import require_pandera; require_pandera()\n"
        "from pandera.io.pandas_io import from_yaml; from_yaml('columns: {a: {ge: 1}}')\n"
        "import pandera.pandas\n"
        "assert dict(os.environ) == before, set(os.environ.items()) ^ set(before.items())"
    )
    unset = {
        name: value for name, value in os.environ.items() if name not in {"PYARROW_IGNORE_TIMEZONE", "SPARK_LOCAL_IP"}
    }
    for environment in (unset, unset | {"PYARROW_IGNORE_TIMEZONE": "0"}):
        subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=60)
