"""One name, one idea: no two classes share one, so that whoever reads it knows which is meant."""

import ast
from collections import Counter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "vrbench"
LAB = PACKAGE / "lab"  # the other side of the API: its jobs and routers are those that ours are told of


@pytest.mark.parametrize("of_the_lab", [True, False])
def test_no_two_classes_share_a_name(of_the_lab: bool) -> None:
    """Within the lab, and outside of it; private ones are known in their file alone."""
    files = (path for path in PACKAGE.rglob("*.py") if path.is_relative_to(LAB) is of_the_lab)
    nodes = (node for path in files for node in ast.walk(ast.parse(path.read_text())))
    names = Counter(node.name for node in nodes if isinstance(node, ast.ClassDef))
    assert names
    assert [name for name, times in names.items() if times > 1 and name[0] != "_"] == []
