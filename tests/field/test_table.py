"""The table tells every case, once."""

from __future__ import annotations

import pytest

from tests.field.table import NEW, kinds, shown


@pytest.mark.parametrize("kind", kinds())
def test_every_case_was_tried_and_has_a_name_of_its_own(kind: str) -> None:
    """Who adds a case plays it with --rewrite, so that its calls are known."""
    names = [case.name for case in kinds()[kind]]
    assert len(names) == len(set(names))
    assert [name for name in names if shown(kind).get(name, NEW) == NEW] == []
