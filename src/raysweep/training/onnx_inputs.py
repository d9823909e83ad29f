"""What an ONNX model of raysweep is fed, for want of nulls: a number or boolean that is missing is NaN."""

from __future__ import annotations

from typing import Final

MISSING_DATE: Final = -(2**63)  # microseconds since 1970
MISSING_TEXT: Final = "raysweep.missing_text"  # the key of the model's metadata under which the text is named
MISSING_DATE_KEY: Final = "raysweep.missing_date"  # and the key under which the date is
