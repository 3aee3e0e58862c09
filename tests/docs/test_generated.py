"""The generated parts of the documents are what the code says, and what exists has its own line or section in them."""

from __future__ import annotations

import math
import re

import pytest

from tests.cli.commands import every_command, options
from tests.docs.markdown import document
from tests.docs.sections import SECTIONS
from vrbench.cli.exits import Exit
from vrbench.cli.live import GLYPHS
from vrbench.cli.profiles import open_profile
from vrbench.core.caveats import CaveatKind
from vrbench.core.figures.windows import Downtime
from vrbench.core.kinds import KINDS
from vrbench.core.log.strip import Seen
from vrbench.core.model import Cause
from vrbench.core.plan.plan import make_plan
from vrbench.core.plan.profile import reference
from vrbench.core.plan.tables import TABLES
from vrbench.report.export_rows import COLUMNS
from vrbench.report.wording import figure, surely
from vrbench.run.disk import bytes_needed


@pytest.mark.parametrize(("name", "part"), SECTIONS, ids=lambda value: value)
def test_generated_part(name: str, part: str, rewrite: bool) -> None:
    """A generated part is up to date."""
    body = SECTIONS[name, part]()
    if rewrite:
        found = document(name)
        found.path.write_text(found.with_section(part, body), encoding="utf-8")
    assert document(name).section(part) == body


def first_cells(name: str, heading: str) -> set[str]:
    """Return the code in the first cells of the tables below a heading whose text begins with ``heading``."""
    rows = [row for row in document(name).rows if any(words.startswith(heading) for words in row.under)]
    return {code for row in rows for code in re.findall(r"`([^`]+)`", row.cells[0])}


@pytest.mark.parametrize("words", list(every_command()))
def test_every_command_has_its_section_and_every_option_its_line(words: str) -> None:
    """An option must stand below the heading of its own command: another one's does not count."""
    sections = {
        re.sub(r"( [A-Z\[-].*)?`$", "", heading)[1:] for heading in document("vrbench/cli/README.md").headings[2:]
    }
    assert f"vrbench {words}" in sections
    rows = [
        r for r in document("vrbench/cli/README.md").rows if re.match(rf"`vrbench {words}( [A-Z\[-]|`)", r.under[-1])
    ]
    documented = {row.cells[0].strip("`").split()[0] for row in rows}
    assert documented == {max(option.opts, key=len) for option in options(every_command()[words])}


def test_every_command_is_listed_first_of_all() -> None:
    """Whoever opens their document sees at once which commands there are."""
    listed = {row.cells[0].strip("`") for row in document("vrbench/cli/README.md").rows if row.under == ("Commands",)}
    assert listed == {f"vrbench {words}" for words in every_command() if " " not in words}


@pytest.mark.parametrize("table", TABLES)
def test_every_profile_key_has_its_line(table: str) -> None:
    """The keys of a table stand below its heading, those and no others."""
    assert first_cells("profiles/README.md", f"`[{table}]`") == {f"{t}.{k}" for t, k, _, _ in reference() if t == table}


def test_every_table_of_a_profile_says_what_it_is_for() -> None:
    """The words below a table's heading are those of its class."""
    assert all((kind.__doc__ or "").startswith(f"[{name}]: ") for name, kind in TABLES.items())


def test_every_caveat_has_its_line_with_meaning_and_cure() -> None:
    """No caveat leaves a reader alone."""
    rows = [r for r in document("reports/README.md").rows if r.under[-1] == "What a trial says about itself"]
    assert {row.cells[0].strip("`") for row in rows} == {kind.value for kind in CaveatKind}
    assert all(all(row.cells[1:4]) for row in rows)


def test_every_kind_of_probe_has_its_line() -> None:
    """What may be probed is listed once, and every switch of the profile with it."""
    rows = [row for row in document("vrbench/core/README.md").rows if len(row.cells) == 5 and "`" in row.cells[0]]
    listed = {row.cells[0].strip("`"): row.cells[1].strip("`") for row in rows if row.under[-1] == "How it measures"}
    assert listed == {kind.key: kind.switch and f"probes.{kind.switch}" for kind in KINDS}


def test_every_cause_has_its_line() -> None:
    """What a report may name as a cause is explained."""
    assert first_cells("reports/README.md", "Causes") == {cause.value for cause in Cause}


def test_every_exit_code_has_its_line() -> None:
    """Scripts can rely on the table."""
    rows = [r for r in document("reports/README.md").rows if r.under[-1] == "Exit codes"]
    assert [(row.cells[0], row.cells[1]) for row in rows] == [(str(int(code)), code.meaning) for code in Exit]


def test_every_export_column_is_explained() -> None:
    """Each column of each table has a meaning; a name that begins with … stands for all that end so."""
    named = first_cells("reports/README.md", "What the columns mean")
    endings = tuple(name[1:] for name in named if name.startswith("…"))
    columns = {column for columns in COLUMNS.values() for column in columns}
    assert {c for c in columns if c not in named and not c.endswith(endings)} == set()
    assert {n for n in named if not n.startswith("…")} <= columns
    assert all(any(c.endswith(ending) for c in columns) for ending in endings)


def test_the_readme_states_what_the_shipped_profile_costs() -> None:
    """The figures of its probes are those of its plan."""
    plan = make_plan(open_profile("isolated", ()), "none")
    connections, tracked = sum(c.connections_per_s for c in plan.costs), sum(c.tracked for c in plan.costs)
    words = " ".join(document("README.md").text.split())
    assert f"sends {plan.probes_per_s:.0f} probes a second, {connections:.0f} of them SSH connections" in words
    assert f"{tracked} entries of the router's connection tracking" in words
    assert f"{bytes_needed(plan) / 1e6:.0f} MB of disk" in words


def test_the_method_is_explained_by_todays() -> None:
    """The id that is taken apart is that of the shipped profile."""
    method = make_plan(open_profile("isolated", ()), "none").method.id
    assert f"`{method.partition('+')[0]}+…`" in document("vrbench/core/README.md").text


@pytest.mark.parametrize("name", ["README.md", "reports/README.md"])
def test_figures_are_explained_as_they_are_printed(name: str) -> None:
    """The three forms that a figure can have stand in the text that explains them."""
    closed, still_down, unseen = Downtime(14.52, 14.62, 14.71), Downtime(3.9, 5.0, math.inf), Downtime(0, 0, 0.1012)
    text = document(name).text
    forms = (f"{figure(closed)}, surely {surely(closed)}", figure(still_down), figure(unseen))
    assert [told for told in forms if f"`{told}`" not in text] == []


def test_the_characters_of_the_live_view_are_explained() -> None:
    """Up, down and not seen, as they are drawn."""
    text = document("vrbench/cli/README.md").text
    words = {Seen.UP: "up", Seen.DOWN: "down", Seen.NOT_SEEN: "not seen"}
    assert [word for seen, word in words.items() if f"`{GLYPHS[seen]}` {word}" not in text] == []
