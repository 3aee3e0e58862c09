"""The journal's lines: one JSON object each, numbered and with a checksum, so that damage is seen and stays local.

A line is a record, its number and the checksum of both: ``{"event":…,"n":3,"sum":"…"}``. Files of the first format have
neither number nor checksum; their lines can only be looked at for sense.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FORMAT = "vrbench-journal/2"
UNSUMMED = "vrbench-journal/1"
OF_A_PROJECT = "vrbench-journal/3"  # as the second; versions that know no projects must not take its things for theirs
_SEALED = re.compile(rb'(\{.*),"sum":"([0-9a-f]{16})"\}')

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a journal, by its number from 1; ``record`` is None where it can't be believed, ``wrong`` says why.

    Lines may be whole and yet the wrong ones: ``wrong`` alone says that some are missing before this one, or doubled.
    """

    number: int
    record: Record | None
    wrong: str = ""


def sealed(record: Record, number: int) -> bytes:
    """Return the line of a record: with its number, its checksum and a line feed."""
    body = json.dumps({**record, "n": number}, separators=(",", ":")).encode()
    return body[:-1] + b',"sum":"' + _checksum(body) + b'"}\n'


def unsealed(record: Record) -> bytes:
    """Return the line of a record as the first format had it."""
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def read_lines(lines: Sequence[bytes]) -> Iterator[Line]:
    """Read all lines of a file, the head being the first."""
    if not lines:
        yield Line(1, None, "it is missing: the file is empty")
    summed = not is_unsummed(lines)
    shift = 0
    for number, line in enumerate(lines, start=1):
        try:
            record = _believed(line) if summed else _parsed(line)
        except ValueError as error:
            yield Line(number, None, str(error))
            continue
        moved = int(record.get("n", number)) - number if summed else 0
        yield Line(number, record, "" if moved == shift else _moved(moved - shift))
        shift = moved


def is_unsummed(lines: Sequence[bytes]) -> bool:
    """Return whether the file is of the first format: its head says so, and has no checksum that says otherwise."""
    return bool(lines) and f'"{UNSUMMED}"'.encode() in lines[0] and b'"sum":' not in lines[0]


def _moved(by: int) -> str:
    if by < 0:
        return "it was there before: the line is doubled, or out of its order"
    return f"{by} before it {'is' if by == 1 else 'are'} missing"


def _believed(line: bytes) -> Record:
    match = _SEALED.fullmatch(line)
    if not match:
        raise ValueError("it has no checksum at its end: it was damaged after it was written")
    body = match[1] + b"}"
    if _checksum(body) != match[2]:
        raise ValueError("its checksum does not match: it was damaged after it was written")
    return _parsed(body)


def _parsed(line: bytes) -> Record:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON: it was damaged after it was written") from None
    if not isinstance(record, dict):
        raise ValueError("it is not a record: it was damaged after it was written")
    return record


def _checksum(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest()[:16].encode()
