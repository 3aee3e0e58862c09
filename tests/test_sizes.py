"""What keeps the house readable: short functions, few parameters, files of a few pages."""

import ast
import statistics
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "vrbench"
FILES = sorted(PACKAGE.rglob("*.py"))
MEDIAN_LINES, LINES, PARAMETERS, FILE_LINES = 6, 50, 5, 350

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(path: Path) -> list[Function]:
    """Find every function of a file, methods and inner ones too."""
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, Function)]


def lines(function: Function) -> int:
    """Count a function's lines, its docstring among them, its decorators not."""
    return (function.end_lineno or 0) - function.lineno + 1


def parameters(function: Function) -> int:
    """Count what a caller hands over; none for a click command, whose parameters are options on a command line."""
    decorators = " ".join(ast.unparse(decorator) for decorator in function.decorator_list)
    if ".command(" in decorators or "click.option(" in decorators:
        return 0
    asked = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
    return sum(argument.arg not in ("self", "cls") for argument in asked)


def over(path: Path) -> set[str]:
    """Name what is over a limit in a file: the file, or its functions."""
    name = str(path.relative_to(PACKAGE))
    too_much = {f"{name} {f.name}" for f in functions(path) if lines(f) > LINES or parameters(f) > PARAMETERS}
    return too_much | ({name} if len(path.read_text().splitlines()) > FILE_LINES else set())


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nothing_is_over_a_limit(path: Path) -> None:
    """Not a function of more than 50 lines or five parameters, not a file of more than 350 lines."""
    assert over(path) == set()


def test_half_of_all_functions_are_short() -> None:
    """The median is six lines."""
    assert statistics.median(lines(f) for path in FILES for f in functions(path)) <= MEDIAN_LINES
