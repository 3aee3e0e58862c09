"""What it costs to export all samples of a large run, beside pandas itself writing the same table, in one go.

    python -m tests.bench.exports [--samples 2300000] [--seed 1]

The run is that of the bench ``analysis``. Of what ``vrbench export`` takes, that of its smallest table is taken off:
both start, read and analyse the run first. pandas has the table in memory already, and writes it with six decimals.
Exit 1 when an export takes more than 1.2 times the processor time of pandas (and 0.3 s, by which two starts differ on a
busy machine), or when it needs more than 100 MB beside the smallest table, however long the run.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.analysis import Cost, make_run, measure
from tests.cli.zone import VRBENCH

RATIO, SPREAD_S, MEGABYTES = 1.2, 0.3, 100
PANDAS = """
import sys, time
import pandas as pd
table, target = sys.argv[1:]
frame = pd.read_parquet(table)
begun = time.process_time()
if target.endswith("csv"):
    frame.to_csv(target, index=False, float_format="%.6f")
else:
    frame.to_parquet(target, index=False)
print(time.process_time() - begun)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2_300_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        here = Path(name)
        run = make_run(here, asked.samples, asked.seed)
        good = True
        for format_ in ("parquet", "csv"):
            least, export = (export_of(run, table, format_, here) for table in ("summary", "samples"))
            pandas_s = by_pandas(here, format_)
            took_s, more_mb = export.cpu_s - least.cpu_s, export.mb - least.mb
            print(
                f"{format_}: {took_s:.2f} s of processor time, {took_s / pandas_s:.2f} times pandas' {pandas_s:.2f} s; "
                f"{export.mb:.0f} MB, {more_mb:.0f} MB more than for the smallest table"
            )
            good &= took_s <= RATIO * pandas_s + SPREAD_S and more_mb <= MEGABYTES
    return int(not good)


def export_of(run: Path, table: str, format_: str, here: Path) -> Cost:
    """Export a table of a run; return what it cost."""
    target = here / f"{table}.{format_}"
    return measure([*VRBENCH, "export", str(run), "--table", table, "--format", format_, "--output", str(target)])


def by_pandas(here: Path, format_: str) -> float:
    """Return the seconds of processor time that pandas takes to write the table that was exported as Parquet."""
    argv = [sys.executable, "-c", PANDAS, str(here / "samples.parquet"), str(here / f"pandas.{format_}")]
    return float(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    sys.exit(main())
