"""Values that nobody meant, as TOML and as JSON; and texts that are not what they should be."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable
from pathlib import Path

HOSTILE_TEXTS = (
    "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[0m",
    "[bold red]markup[/] :skull: [link=file:///etc/passwd]x[/link]",
    "=cmd|' /C calc'!A0",
    "\n=1+1",
    "\uff1d1+1",
    "a\u202egnp.exe\u202c \u200bzero\ufeff",
    "nul\x00 del\x7f c1\x9b31m line\u2028sep\x85",
    "../../../etc/passwd",
    "x" * 100_000,
    "",
    " ",
    "\t\r\n",
    "%s%n{0}%(x)s${HOME}`id`",
    "💣\u0301\u0301\u0301" * 50,
)
NUMBERS = ("0", "-1", "1", "9" * 20, "-" + "9" * 400, "9" * 5000, "1e308", "0.1", "1e-320")


def number(rng: random.Random) -> str:
    """Return a number as both TOML and JSON write it."""
    return rng.choice(NUMBERS)


def depth(rng: random.Random) -> int:
    return rng.choice((3, 60, 400, 3000, 100_000))


def quoted(text: str) -> str:
    """Return text as a string of JSON and of TOML."""
    shown = {'"': '\\"', "\\": "\\\\"}
    return (
        '"'
        + "".join(shown.get(c) or (c if c.isprintable() or ord(c) > 0xFFFF else f"\\u{ord(c):04x}") for c in text)
        + '"'
    )


def toml_value(rng: random.Random) -> str:
    """Return any value of TOML, most of them valid in themselves."""
    n = depth(rng)
    return rng.choice(
        (
            number(rng),
            number(rng),
            quoted(rng.choice(HOSTILE_TEXTS)),
            quoted(rng.choice(HOSTILE_TEXTS)),
            quoted(duration(rng)),
            quoted(duration(rng)),
            rng.choice(("true", "false", "nan", "-inf", "inf", "1e400", "0x" + "f" * 8000, "0b1", "1_000")),
            rng.choice(("1979-05-27", "1979-05-27T07:32:00Z", "07:32:00")),
            "[" * n + "]" * n,
            "{a=" * min(n, 3000) + "1" + "}" * min(n, 3000),
            "[" + ",".join(["1"] * rng.choice((1, 5000))) + "]",
            "{}",
            "[]",
            quoted(rng.choice(("auto", "serial", "203.0.113.1", "::1", "0.0.0.0/0", "10.0.0.1/33", "256.1.1.1"))),
        )
    )


def duration(rng: random.Random) -> str:
    """Return what might be taken for a duration."""
    amount = rng.choice(
        ("9" * 400, "0", "-1", "1e5", "0.0000001", "1.5.5", "\u0661\u0662", "999999999", "1", " 5 ", "nan", "inf")
    )
    return amount + rng.choice(("s", "ms", "m", "h", "", "d", " s ", "µs", "S", "\u200bs"))


def json_value(rng: random.Random) -> str:
    """Return any value of JSON, and some that only look like it."""
    n = depth(rng)
    return rng.choice(
        (
            number(rng),
            number(rng),
            number(rng),
            quoted(rng.choice(HOSTILE_TEXTS)),
            quoted(rng.choice(HOSTILE_TEXTS)),
            rng.choice(("true", "false", "null", "NaN", "-Infinity", "1e400")),
            '"\\ud800"',
            "[" * n + "]" * n,
            '{"a":' * n + "1" + "}" * n,
            "[]",
            "{}",
            "[" + ",".join(["1"] * 5000) + "]",
            '{"name": 1}',
        )
    )


def spoiled(rng: random.Random, content: bytes) -> bytes:
    """Return content with something wrong in its bytes."""
    at = rng.randrange(len(content) + 1)
    return rng.choice(
        (
            lambda: content[:at],
            lambda: content[:at] + bytes([rng.randrange(256)]) + content[at + 1 :],
            lambda: content[:at] + bytes([rng.randrange(256)]) + content[at:],
            lambda: _flipped(rng, content, rng.choice((1, 8, 64))),
            lambda: content + content,
            lambda: b"",
            lambda: b"\0" * len(content),
            lambda: b"\xef\xbb\xbf" + content,
            lambda: content.decode("latin-1").encode("utf-16"),
            lambda: rng.randbytes(rng.choice((1, 100, 5000))),
            lambda: content[:at] + b"\xff\xfe\x80" + content[at:],
            lambda: content[:at] + b"\x1b[31m" + content[at:],
            lambda: content.replace(b"\n", b"\r"),
            lambda: content[:at] + b"[" * 100_000 + content[at:],
        )
    )()


def _flipped(rng: random.Random, content: bytes, bits: int) -> bytes:
    made = bytearray(content)
    for _ in range(bits if made else 0):
        made[rng.randrange(len(made))] ^= 1 << rng.randrange(8)
    return bytes(made)


def no_file(rng: random.Random, path: Path, size: int) -> str:
    """Put something in a file's place that is no readable file, or far too large a one; return what."""
    kinds: dict[str, Callable[[], object]] = {
        "a directory": lambda: path.mkdir(),
        "a FIFO": lambda: os.mkfifo(path),
        "a socket": lambda: socket.socket(socket.AF_UNIX).bind(os.path.relpath(path)),
        "/dev/zero": lambda: path.symlink_to("/dev/zero"),
        "/dev/full": lambda: path.symlink_to("/dev/full"),
        "a dangling link": lambda: path.symlink_to("nowhere"),
        "a link to itself": lambda: path.symlink_to(path.name),
        "/proc/self/mem": lambda: path.symlink_to("/proc/self/mem"),
        "a terminal": lambda: path.symlink_to("/dev/ptmx"),
        "a sparse file": lambda: _sparse(path, size),
        "nothing": lambda: None,
    }
    what = rng.choice(list(kinds))
    if path.is_file() or path.is_symlink():
        path.unlink()
    kinds[what]()
    return what


def _sparse(path: Path, size: int) -> None:
    path.touch()
    os.truncate(path, size)
