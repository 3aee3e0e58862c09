"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

reports_option = click.option(
    "--reports",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("reports"),
    show_default=True,
    help="Where run directories lie.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print results as JSON on stdout.")
