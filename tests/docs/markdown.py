"""Documents as values: their headings and anchors, links, tables by section, shell lines, and sentences of prose."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
_PARSER = MarkdownIt("commonmark").enable("table")
_TOPS = (".github", "profiles", "reports/reference", "tests", "vrbench")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_CONTINUED = re.compile(r"(?:e\.g|i\.e|etc|\.\.\.)\.?$")


@dataclass(frozen=True)
class Row:
    """One row of a table: the headings above it, outermost first, and its cells as they are written."""

    under: tuple[str, ...]
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, its text, and the headings above it."""

    language: str
    text: str
    under: tuple[str, ...]


@dataclass(frozen=True)
class Document:
    """One Markdown file of the repository."""

    path: Path

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tokens(self) -> list[Token]:
        return _PARSER.parse(self.text)

    @cached_property
    def headings(self) -> tuple[str, ...]:
        return tuple(path[-1] for token, path in _placed(self.tokens) if token.type == "heading_open")

    @cached_property
    def anchors(self) -> frozenset[str]:
        """What a link may name behind ``#``, as GitHub makes it of headings."""
        return frozenset(anchor(heading) for heading in self.headings)

    @cached_property
    def links(self) -> tuple[str, ...]:
        """Every target of a link and source of a picture."""
        return tuple(
            str(inner.attrs["href" if inner.type == "link_open" else "src"])
            for token in self.tokens
            for inner in token.children or ()
            if inner.type in ("link_open", "image")
        )

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """Every row of every table, without the headings of columns."""
        found: list[Row] = []
        cells: list[str] | None = None
        for (token, under), before in zip(_placed(self.tokens), ["", *(t.type for t in self.tokens)], strict=False):
            if before == "td_open" and cells is not None:
                cells.append(token.content)
            elif token.type == "tr_open":
                cells = []
            elif token.type == "tr_close" and cells:
                found.append(Row(under, tuple(cells)))
        return tuple(found)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Every fenced block."""
        return tuple(Block(t.info, t.content, under) for t, under in _placed(self.tokens) if t.type == "fence")

    @cached_property
    def shell_lines(self) -> tuple[str, ...]:
        """Every command of the blocks called ``sh``, without comments; lines that end in a backslash are joined."""
        joined = "".join(block.text for block in self.blocks if block.language == "sh").replace("\\\n", " ")
        lines = (line.partition(" #")[0].strip() for line in joined.splitlines())
        return tuple(line for line in lines if line and not line.startswith("#"))

    @cached_property
    def sentences(self) -> tuple[str, ...]:
        """Every sentence of its prose: paragraphs and items of lists. Code, tables, headings and pictures are none."""
        after = zip(self.tokens[1:], self.tokens, strict=False)
        prose = [_spoken(token.children or []) for token, before in after if before.type == "paragraph_open"]
        return tuple(sentence for text in prose for sentence in sentences(text))

    def section(self, name: str) -> str:
        """Return what stands between the markers of a generated part. Raises KeyError when there are none."""
        found = re.search(rf"<!-- {name}:[^\n]*-->\n(.*?)<!-- /{name} -->", self.text, re.DOTALL)
        if not found:
            raise KeyError(f"{self.path} has no part called {name}")
        return found[1].strip()

    def with_section(self, name: str, body: str) -> str:
        """Return the whole text with another body between the markers."""
        marked = re.compile(rf"(<!-- {name}:[^\n]*-->\n)(.*?)(<!-- /{name} -->)", re.DOTALL)
        return marked.sub(lambda found: f"{found[1]}\n{body}\n\n{found[3]}", self.text)


def documents() -> list[Document]:
    """Return every Markdown file of the repository; what runs have left under ``reports`` is none of it."""
    below = (path for top in _TOPS for path in (ROOT / top).rglob("*.md"))
    return [Document(path) for path in sorted({*ROOT.glob("*.md"), *(ROOT / "reports").glob("*.md"), *below})]


def document(name: str) -> Document:
    """Return the document at this path below the root."""
    return Document(ROOT / name)


def anchor(heading: str) -> str:
    """Return what GitHub calls a heading in links: lower case, no punctuation, dashes for spaces."""
    plain = re.sub(r"[`*]", "", heading).lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def sentences(text: str) -> Iterator[str]:
    """Split prose where a full stop, a question mark or an exclamation mark ends a sentence; a colon ends none."""
    held = ""
    for part in _SENTENCE_END.split(text.strip()):
        held = f"{held} {part}".strip()
        if not _CONTINUED.search(held):
            yield held
            held = ""
    if held:
        yield held


def words(sentence: str) -> int:
    """Count the words: whatever stands between spaces and has a letter or a digit; code counts like prose."""
    return sum(any(c.isalnum() for c in part) for part in sentence.split())


def _spoken(children: Iterable[Token]) -> str:
    """Return a paragraph as it would be read aloud: the text of links, no pictures, no comments."""
    breaks = ("softbreak", "hardbreak")
    kept = ("text", "code_inline")
    return "".join(" " if t.type in breaks else t.content for t in children if t.type in (*breaks, *kept))


def _placed(tokens: list[Token]) -> Iterator[tuple[Token, tuple[str, ...]]]:
    """Yield every token with the headings above it; a heading with itself as the last."""
    under: tuple[str, ...] = ()
    for number, token in enumerate(tokens):
        if token.type == "heading_open":
            under = (*under[: int(token.tag[1]) - 1], tokens[number + 1].content)
        yield token, under
