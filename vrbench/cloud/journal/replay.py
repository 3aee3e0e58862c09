"""From a journal's lines to what is pending: strictly, or as far as a damaged journal can be believed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from vrbench.cloud.journal.lines import FORMAT, OF_A_PROJECT, UNSUMMED, Line, Record, is_unsummed, read_lines
from vrbench.core.model import Owner

# As the build names things.
_KINDS_BY_NAME = {"net": "network", "key": "keypair", "vm": "vm", "ip": "address", "offering": "offering"}
_NAME = re.compile(r"vrb-[0-9a-z]+-(net|key|offering|vm(?=\d)|ip(?=\d))\d*")
_EVENTS = ("intended", "created", "destroyed")
_OF_A_NAME = ("network", "vm", "keypair", "offering")


@dataclass(frozen=True, slots=True)
class Head:
    """Where the journal's objects live, and whose they are: the first record. Holds no secret.

    They are an account's of a domain, or a project's: then the account is that of whoever built them.
    """

    run_id: str
    endpoint: str
    account: str
    domain_id: str
    project_id: str = ""

    @property
    def owner(self) -> Owner:
        """Whose the objects are, as calls name it."""
        if self.project_id:
            return Owner(project_id=self.project_id)
        return Owner(account=self.account, domain_id=self.domain_id)


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One object that was to be made and is not known to be gone; ``id`` is None while no answer was seen."""

    key: str
    kind: str
    params: Mapping[str, str]
    id: str | None
    intended_at: datetime


@dataclass(frozen=True, slots=True)
class Damage:
    """A line that can't be believed, by its number, and what is wrong with it."""

    line: int
    what: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.what}"


class UnknownFormat(ValueError):
    """The head is whole, and of a format that this version does not read."""


@dataclass
class Replay:
    """What a journal's lines come to. ``entries``: what is pending; ``intended``: all that was ever to be made.

    ``ids``: of all that was ever made. ``summed``: whether the file's lines have checksums.
    """

    summed: bool = True
    head: Head | None = None
    entries: dict[str, JournalEntry] = field(default_factory=dict)
    intended: dict[str, JournalEntry] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)
    damage: list[Damage] = field(default_factory=list)
    _orphans: list[tuple[str, str | None]] = field(default_factory=list)  # keys without an intent, with their ids

    def take(self, line: Line) -> None:
        """Take one line in; what is wrong with it is noted as damage. Raises UnknownFormat."""
        if line.wrong:
            self.damage.append(Damage(line.number, line.wrong))
        if line.record is None:
            return
        try:
            if line.number == 1:
                self.head = _head(line.record)
            else:
                self._apply(line.record)
        except UnknownFormat:
            raise
        except (KeyError, TypeError, ValueError) as error:
            self.damage.append(Damage(line.number, f"it is not a record of a journal ({_plain(error)})"))

    def _apply(self, record: Record) -> None:
        event, key = record["event"], _text(record, "key")
        if event not in _EVENTS:
            raise ValueError(f"unknown event {event!r}")
        if event == "intended":
            self.entries[key] = self.intended[key] = _entry(record)
            return
        made = _text(record, "id") if event == "created" else None
        if key not in self.intended:
            self._orphans.append((key, made))
            raise ValueError(f"{key} was never intended")
        if made:
            self.created(key, made)  # also when we had given up on it: it is there after all
        else:
            self.entries.pop(key, None)

    def created(self, key: str, object_id: str) -> None:
        """Note the id of what was intended."""
        self.entries[key] = replace(self.intended[key], id=object_id)
        self.ids.add(object_id)

    def doubt(self) -> None:
        """Believe nothing to be gone that a look by its name can find, and take in what has lost its intent."""
        for key, made in self._orphans:
            if (kind := kind_of(key)) and not self.entries.get(key, nameless(kind, key)).id:
                self.entries[key] = self.intended[key] = nameless(kind, key, made)
        for key, entry in self.intended.items():
            if entry.kind in _OF_A_NAME:
                self.entries.setdefault(key, entry)


def replay(lines: Sequence[bytes]) -> Replay:
    """Return what a file's lines come to. Raises UnknownFormat."""
    known = Replay(summed=not is_unsummed(lines))
    for line in read_lines(lines):
        known.take(line)
    return known


def kind_of(key: str) -> str:
    """Return what kind of thing a build gives such a name to; '' for rules, which go with what they hang on."""
    name = _NAME.fullmatch(key)
    return _KINDS_BY_NAME[name[1]] if name else ""


def noted_owner(entry: JournalEntry) -> Owner | None:
    """Return whose a line says that its object is; None where that is the caller's own."""
    noted = {f.name: entry.params[f.name] for f in fields(Owner) if f.name in entry.params}
    return Owner(**noted) if noted else None


def nameless(kind: str, key: str, object_id: str | None = None) -> JournalEntry:
    """Return an entry of which no more than its name is known, as of long ago: nothing of it is still under way."""
    long_ago = datetime(2000, 1, 1, tzinfo=UTC)
    return JournalEntry(key, kind, MappingProxyType({"name": key}), object_id, long_ago)


def _head(first: Record) -> Head:
    written = first["format"]
    if written not in (known := (UNSUMMED, FORMAT, OF_A_PROJECT)):
        raise UnknownFormat(f"format {written!r}; this version reads {', '.join(map(repr, known))}")
    project_id = _text(first, "project_id") if written == OF_A_PROJECT else ""
    told = {name: _text(first, name) for name in ("run_id", "endpoint", "account", "domain_id")}
    return Head(**told, project_id=project_id)


def _entry(record: Record) -> JournalEntry:
    params = record["params"]
    if not isinstance(params, dict) or not all(isinstance(value, str) for value in params.values()):
        raise TypeError("params must be an object of texts")
    at = datetime.fromisoformat(_text(record, "at"))
    return JournalEntry(_text(record, "key"), _text(record, "kind"), MappingProxyType(params), None, at)


def _text(record: Record, name: str) -> str:
    value: Any = record[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a text")
    return value


def _plain(error: Exception) -> str:
    return f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
