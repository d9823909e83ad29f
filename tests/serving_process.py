"""Runs where only the serving packages are: each bundle below a folder is loaded and predicts its golden rows."""

import sys
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import raysweep


def check(bundle):
    model = raysweep.load_model(bundle)
    golden = pq.read_table(bundle / "golden.parquet")
    rows = pa.Table.from_struct_array(golden.column("features").combine_chunks())
    mixed = rows.select(rows.column_names[::-1]).append_column("more", pa.nulls(rows.num_rows))
    ask = model.predict if model.signature.task.value == "regression" else model.predict_proba
    wanted = np.asarray(golden.column("prediction").to_pylist())
    found = np.asarray(ask(mixed)).reshape(wanted.shape)
    if not np.array_equal(found, wanted):
        raise SystemExit(f"{bundle.name}: off by {np.abs(found - wanted).max()}")
    if not model.deviations.columns["city"].unseen:
        raise SystemExit(f"{bundle.name}: the unseen category was not counted")
    one = ask(mixed.slice(5, 1).to_pylist()[0])
    if not np.allclose(one, wanted[5], rtol=0, atol=1e-12):
        raise SystemExit(f"{bundle.name}: a row as a dict is predicted otherwise")


def main(folder, *heavy):
    warnings.simplefilter("ignore")
    bundles = sorted(folder.iterdir())
    for bundle in bundles:
        check(bundle)
    loaded = [name for name in heavy if name in sys.modules]
    if loaded:
        raise SystemExit(f"serving has loaded {', '.join(loaded)}")
    print(f"{len(bundles)} models of {len({one.name.partition('-')[0] for one in bundles})} families predict exactly")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
