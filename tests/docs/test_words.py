"""Documents are short enough to be read: the README's length, and how long sentences are."""

from __future__ import annotations

import ast
import re
from statistics import mean

import pytest

from tests.docs.markdown import ROOT, Document, document, documents, sentences, words

LONGEST_README, MEAN_WORDS, MOST_WORDS, WIDEST = 150, 20, 40, 125
DOCUMENTS = [d for d in documents() if d.path.name != "CHANGELOG.md"]


def test_the_readme_is_short() -> None:
    """It has few lines, and none of them is long: a long line would be several."""
    lines = document("README.md").text.splitlines()
    assert len(lines) <= LONGEST_README
    assert [line for line in lines if len(line) > WIDEST and not line.startswith("|")] == []


@pytest.mark.parametrize("found", DOCUMENTS, ids=lambda d: str(d.path.relative_to(ROOT)))
def test_sentences_are_short(found: Document) -> None:
    """Twenty words on average, and none of forty. Code, tables and headings are no sentences."""
    lengths = {sentence: words(sentence) for sentence in found.sentences}
    assert [sentence for sentence, length in lengths.items() if length >= MOST_WORDS] == []
    assert mean(lengths.values()) <= MEAN_WORDS


def test_sentences_are_counted_honestly() -> None:
    """A colon or a line's end ends no sentence, a point inside a number or a name neither."""
    text = "It takes 3.4 s: two of them\nin run/trial.py. Is that long? No."
    assert [(s, words(s)) for s in sentences(text.replace("\n", " "))] == [
        ("It takes 3.4 s: two of them in run/trial.py.", 9),
        ("Is that long?", 3),
        ("No.", 1),
    ]


def test_messages_in_troubleshooting_are_real() -> None:
    """What the README quotes is what the program says; … stands for what differs."""
    rows = [row for row in document("README.md").rows if row.under[-1] == "When something goes wrong"]
    assert rows
    said = spoken()
    quoted = [part for row in rows for part in re.findall(r"`([^`]+)`", row.cells[0])[0].split("…")]
    assert [q for q in quoted if q.strip() not in FROM_OTHERS and not any(q.strip() in text for text in said)] == []


FROM_OTHERS = ("unable to verify user credentials",)  # CloudStack


def spoken() -> list[str]:
    """Return every text in the package's code, with nothing in place of what is filled in."""
    found = []
    for path in (ROOT / "vrbench").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.append("".join(str(v.value) for v in node.values if isinstance(v, ast.Constant)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found
