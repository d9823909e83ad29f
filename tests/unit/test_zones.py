"""Times with a zone are the same instants where something imported has told Arrow to forget zones."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone

import pandas as pd
import pyarrow as pa
import pytest

from raysweep.bundle.inputs import features_of
from raysweep.config import TaskKind
from raysweep.records.manifest import InputColumn, Signature
from raysweep.records.table import ColumnKind
from raysweep.stages.source.frames import frame_to_arrow

EAST = timezone(timedelta(hours=1))
BERLIN = pd.Timestamp("2020-01-02T01:00", tz="Europe/Berlin")
SUMMER = datetime(2020, 7, 2, 2, tzinfo=EAST)
PLAIN = datetime(2020, 1, 2)  # noqa: DTZ001
NOON = datetime(2020, 7, 2, 1)  # noqa: DTZ001 - SUMMER, in UTC
SIGNATURE = Signature(
    inputs=(InputColumn(name="at", kind=ColumnKind.DATETIME, type="timestamp[us]"),),
    target="y",
    task=TaskKind.REGRESSION,
)


@pytest.mark.parametrize("forgets", ["", "1"], ids=["zones", "told to forget zones"])
@pytest.mark.parametrize("times", [1, 100])
@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([BERLIN], [PLAIN]),
        ([SUMMER], [NOON]),
        ([BERLIN, SUMMER, PLAIN], [PLAIN, NOON, PLAIN]),
        ([PLAIN, None, BERLIN], [PLAIN, None, PLAIN]),
        ([None, pd.NaT, SUMMER], [None, None, NOON]),
        ([PLAIN, PLAIN], [PLAIN, PLAIN]),
        ([datetime(2020, 1, 2, tzinfo=UTC), PLAIN], [PLAIN, PLAIN]),
    ],
)
def test_single_values_are_the_instants_that_they_are(values, wanted, times, forgets, monkeypatch):
    monkeypatch.setenv("PYARROW_IGNORE_TIMEZONE", forgets)
    values, wanted = values * times, wanted * times
    frame = pd.DataFrame({"at": pd.Series(values, dtype=object)})
    assert frame_to_arrow(frame).column("at").cast(pa.timestamp("us")).to_pylist() == wanted
    for data in (frame, [{"at": value} for value in values]):
        assert features_of(data, SIGNATURE).column("at").to_pylist() == wanted


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
