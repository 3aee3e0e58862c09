"""Golden files: compared byte for byte, rewritten with ``pytest --rewrite``."""

from pathlib import Path

HERE = Path(__file__).parent


def check(name: str, text: str, rewrite: bool) -> None:
    """Hold ``text`` against the golden file ``name``."""
    path = HERE / name
    if rewrite:
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text
