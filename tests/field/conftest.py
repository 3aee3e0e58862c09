"""One standing lab for all cases of a worker; with ``--rewrite`` each case writes its line of the document."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.cli.zone import running_zone
from tests.field import table
from tests.field.case import Case
from tests.field.place import Place
from vrbench.lab.status import LabOptions

Hold = Callable[[Case], None]


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Place]:
    """Run a zone in a box as an operator's cloud: its router is replaced in parallel, all boots ten times as fast."""
    request.getfixturevalue("lab_possible")
    with running_zone(tmp_path_factory.mktemp("field"), LabOptions(strategy="parallel", time_scale=0.1)) as zone:
        yield Place(zone)


@pytest.fixture
def hold(place: Place, rewrite: bool, request: pytest.FixtureRequest) -> Hold:
    """Play a case and check what came of it, and what the document says of its calls."""
    kind = request.path.stem.removeprefix("test_").removesuffix("_field")

    def held(case: Case) -> None:
        told = place.hold(case)
        if rewrite:
            table.write(kind, {case.name: told.calls})
        said = table.shown(kind).get(case.name, table.NEW)
        assert said != table.NEW, "write the table: pytest tests/field --rewrite"
        assert (said == table.NONE) is (not told.calls), f"the table says {said}, and these were made: {told.calls}"

    return held
