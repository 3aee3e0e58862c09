"""Files of settings as ``configparser`` reads them, with the line and column of every value, and refusals in words.

What a shell or a tool of another kind would read is read as well where its meaning is certain: a file without any
section, and ``export NAME=value``. What is JSON or YAML is named as such. No message quotes a line: it may be the one
with the secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from vrbench.cloud.credentials.settings import PREFIX
from vrbench.cloud.credentials.written import QUOTES, Written
from vrbench.cloud.errors import ConfigurationError
from vrbench.core.text import character
from vrbench.plain_files import read_text

MOST_BYTES = 1_000_000  # of a file
DEFAULT = "DEFAULT"  # the section whose values hold in all others
_CURE = "see the format of cloudstack.ini"
_HEADER = re.compile(r"\[([^\]]+)\](?:\s*[#;].*)?$|\[(.+)\]")
_OPTION = re.compile(r"(.*?)\s*([=:])\s*(.*)$")
_SHELL = re.compile(r"(?:export|set|setx|declare -x)\s+|\$env:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class IniLine:
    """One setting of a file: in which section, '' above the first, under which name, and what is written there."""

    section: str
    name: str
    written: Written
    by_shell: bool = False  # a shell reads such a line, and would fill in what stands behind a $


@dataclass(frozen=True, slots=True)
class IniFile:
    """What a file holds, in its order; ``sections`` are those that have a header."""

    path: Path
    lines: tuple[IniLine, ...] = field(repr=False)
    sections: tuple[str, ...]

    def named(self, section: str) -> Iterator[IniLine]:
        """Yield the lines of one section."""
        return (line for line in self.lines if line.section == section)

    def refusal(self, where: str, found: str, cure: str = _CURE) -> ConfigurationError:
        return ConfigurationError(f"{self.path}, {where}: {found}", cure)


def read_ini(path: Path) -> IniFile | None:
    """Read a file; None where there is none. Raises ConfigurationError."""
    problem = ""
    try:
        text = read_text(path, MOST_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        problem = error.strerror or type(error).__name__
    if problem:
        raise ConfigurationError(f"{path}: can't be read: {problem}", "check the file, or name another one")
    return parse_ini(path, text)


def parse_ini(path: Path, text: str) -> IniFile:
    """Return what a text holds. Raises ConfigurationError, with the line and the character that can't be read."""
    reader = _Reader(path, source=str(path))
    reader.check_kind(text)
    for number, line in enumerate(text.split("\n"), 1):
        reader.take(number, line)
    reader.close()
    return IniFile(path, tuple(reader.lines), tuple(dict.fromkeys(reader.sections)))


@dataclass(slots=True)
class _Reader:
    path: Path
    lines: list[IniLine] = field(default_factory=list)
    sections: list[str] = field(default_factory=list)
    indent: int = 0
    source: str = ""  # made once for all lines of a section: a name may be long, and the lines many
    open: bool = False  # whether a line that is indented more goes on with the value above
    more: list[str] = field(default_factory=list)  # such lines, and what is empty between them

    def check_kind(self, text: str) -> None:
        """Refuse what is a file of another kind altogether."""
        bare = [line.strip() for line in text.split("\n")]
        number, first = next(((n, b) for n, b in enumerate(bare, 1) if b and b[0] not in "#;"), (1, ""))
        kind = ""
        if first[:1] in ("{", "<") or first[:2] in ("[{", '["'):
            kind = "JSON" if first[0] in "{[" else "XML or HTML"
        elif first == "---" or re.fullmatch(r"[\w-]+:", first) or first.startswith("- "):
            kind = "YAML"
        if kind:
            found = f"the file begins with {character(first[0])}, as {kind} does; it is no ini file"
            raise self._refused(number, text.split("\n")[number - 1].index(first[0]), found)

    def take(self, number: int, line: str) -> None:
        """Read one line, as configparser does."""
        value = line.strip()
        if not value or value[0] in "#;":
            self.more.append("")  # so that places stay true
            return
        indent = len(line) - len(line.lstrip())
        if self.open and indent > self.indent:
            self.more.append(line.rstrip())
            return
        self.close()
        self.indent = indent
        if header := _HEADER.match(value):
            self.sections.append((header[1] or header[2]).strip())
            self.source = f"{self.path} [{self.sections[-1]}]"
        else:
            self._option(number, line, indent)

    def close(self) -> None:
        """Add to the last value what goes on with it."""
        if self.open and any(self.more):
            last = self.lines[-1]
            whole = "\n".join((last.written.value, *self.more)).rstrip()
            self.lines[-1] = replace(last, written=replace(last.written, value=whole))
        self.open = False
        self.more.clear()

    def _option(self, number: int, line: str, indent: int) -> None:
        shell = _SHELL.match(line, indent)
        begins = shell.end() if shell else indent
        found = _OPTION.match(line.rstrip(), begins)
        if not found or not found[1]:
            raise self._no_option(number, line, indent)
        name = found[1].strip(QUOTES + "\ufeff\u200b \t\xa0")
        by_shell = bool(shell) or name.startswith(PREFIX)
        name = name.removeprefix(PREFIX).lower()
        section = self.sections[-1] if self.sections else ""
        written = Written(found[3], self.source, number, found.start(3) + 1)
        self.lines.append(IniLine(section, name, written, by_shell))
        self.open = True

    def _no_option(self, number: int, line: str, indent: int) -> ConfigurationError:
        """Say what a line is that is neither a section nor a setting."""
        value = line.strip()
        if value.startswith("["):
            return self._refused(number, indent, "a [ without its ]")
        odd = next((i for i, c in enumerate(line) if not c.isascii() and not c.isalpha()), None)
        if odd is not None:
            return self._refused(number, odd, f"no = in this line, which holds {character(line[odd])}")
        return self._refused(number, indent, "neither a [section] nor a setting: there is no = in this line")

    def _refused(self, number: int, index: int, found: str) -> ConfigurationError:
        return IniFile(self.path, (), ()).refusal(f"line {number}, column {index + 1}", found)
