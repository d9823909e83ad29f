"""What is shown of a table, made without Ray: the gate's findings without models, a mask of usable rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from builders import check_means, profile_of, sweep_config, table_of
from raysweep.report.view import DataView
from raysweep.stages.validate.gate import validate_table
from raysweep.stages.validate.learning_task import learning_task, read_target


def view_of(frame: pd.DataFrame, target: str | None = "target", usable: Any = None, **data: Any) -> DataView:
    """The frame as the page about the data gets it.

    Args:
        frame: the table.
        target: the column to predict.
        usable: a mask over `view.profile.sample`, or None: all rows.
        data: keys of the sweep's `data` section, or whole sections (`checks={...}`).
    """
    config, table, profile = sweep_config(target, **data), table_of(frame), profile_of(frame, target)
    aim = None
    if target in table.names and profile.rows:
        reading = read_target(profile.column(str(target)), config.data)
        aim = None if reading.kind is None else learning_task(reading, (), config)
    mask = None if usable is None else np.asarray(usable(profile.sample), np.bool_)
    check = validate_table(table, profile, config, check_means(profile, mask))
    return DataView("small", table, profile, check, aim, mask)
