"""Answers as no CloudStack gives them, made from a seed: each spoils one call, or all calls of one command.

Some are no answer at all, whatever stands in them (``never``): broken HTTP, half a document, another wrapper. Others
have the right wrapper and one thing in it changed: a key that is missing, a value of another type, a name that moves a
terminal. What has still the right shape may be believed.
"""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.cloud.faulty import Fault, Passed
from tests.cloud.server import Request, drips, raw

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
PLACE = "\0here\0"  # where something goes that json.dumps writes of no value


@dataclass(frozen=True, slots=True)
class Malformed:
    """One way to spoil an answer; ``never``: it must not be taken for one."""

    what: str
    never: bool
    fault: Fault


def malformed(rng: random.Random, broken: list[tuple[str, bytes]]) -> Malformed:
    """Make one; ``broken`` are whole HTTP answers that are none."""
    kind = rng.choices((_http, _body, _wrapper, _content), (2, 3, 3, 8))[0]
    return kind(rng, broken)


def sized(body: bytes, status: bytes = b"200 OK", *headers: bytes) -> bytes:
    lines = (b"HTTP/1.1 " + status, b"Content-Type: application/json", *headers, b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _http(rng: random.Random, broken: list[tuple[str, bytes]]) -> Malformed:
    """Break HTTP, or take for ever."""
    slow = [
        ("drips", drips(HEAD + b"Content-Length: 9000\r\n\r\n", b" ")),
        ("drips headers", drips(HEAD + b"X-", b"a")),
        ("drips chunks", drips(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n")),
    ]
    what, behaviour = rng.choice([*((name, raw(data)) for name, data in broken), *slow])
    return Malformed(f"http: {what}", True, _perhaps_carried_out(rng, lambda request, _: behaviour(request)))


def _body(rng: random.Random, _: list[tuple[str, bytes]]) -> Malformed:
    """Send a document that is none."""
    cut = rng.random()
    changes: dict[str, Callable[[bytes], bytes]] = {
        "empty": lambda _: b"",
        "spaces": lambda _: b" \r\n\t",
        "a page": lambda _: b"<!DOCTYPE html><title>\x1b[31mWelcome</title><script>alert(1)</script>",
        "half": lambda body: body[: int(len(body) * cut)],
        "twice": lambda body: body + body,
        "latin-1": lambda body: body[:-2] + b', "x": "\xe9"}}',
        "utf-16": lambda body: body.decode().encode("utf-16"),
        "a mark": lambda body: b"\xef\xbb\xbf" + body,
        "no number": lambda body: body[:-2] + b', "x": NaN}}',
        "infinity": lambda body: body[:-2] + b', "x": -Infinity}}',
        "half a pair": lambda body: body[:-2] + b', "x": "\\udc00"}}',
        "a huge number": lambda body: body[:-2] + b', "x": ' + b"7" * 9000 + b"}}",
        "deep": lambda body: body[:-2] + b', "x": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}}",
        "a raw control": lambda body: body[:-2] + b', "x": "\x07"}}',
        "zeros": lambda body: bytes(len(body)),
        "packed and not said": lambda body: gzip.compress(body),
    }
    what = rng.choice([*changes, "a bomb"])
    if what == "a bomb":
        return Malformed(f"body: {what}", True, _perhaps_carried_out(rng, lambda request, _: raw(bomb())(request)))

    def fault(request: Request, passed: Passed) -> None:
        # Behind something, so that a comma can follow.
        document = {wrapper: {**content, "y": 0} for wrapper, content in json.loads(passed()[1]).items()}
        raw(sized(changes[what](json.dumps(document).encode())))(request)

    return Malformed(f"body: {what}", True, fault)


def bomb(megabytes: int = 3000) -> bytes:
    """Return an answer that unpacks to so many MB, and is a thousandth of that."""
    pack = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    head = pack.compress(b"") + pack.flush(zlib.Z_FULL_FLUSH)
    one = pack.compress(bytes(1 << 20)) + pack.flush(zlib.Z_FULL_FLUSH)
    return sized(head + one * megabytes, b"200 OK", b"Content-Encoding: gzip")


def _wrapper(rng: random.Random, _: list[tuple[str, bytes]]) -> Malformed:
    """Send sound JSON that is not this call's answer."""
    changes: dict[str, Callable[[str, Any], tuple[int, Any]]] = {
        "another's error": lambda _, __: (200, {"error": {"code": 503}}),
        "another's error, as one": lambda _, __: (503, {"error": {"code": 503}}),
        "another call's": lambda _, content: (200, {"listeventsresponse": content}),
        "unwrapped": lambda _, content: (200, {**content, "y": 0, "z": 1}),
        "a list": lambda wrapper, content: (200, [{wrapper: content}]),
        "a list within": lambda wrapper, content: (200, {wrapper: [content]}),
        "null": lambda _, __: (200, None),
        "null within": lambda wrapper, _: (200, {wrapper: None}),
        "text": lambda wrapper, _: (200, {wrapper: "\x1b[2J=1+1<b>"}),
        "two": lambda wrapper, content: (200, {wrapper: content, "another": content}),
        "an error as a success": lambda wrapper, _: (200, {wrapper: {"errorcode": 530, "errortext": "no"}}),
        "a success as an error": lambda wrapper, content: (530, {wrapper: content}),
        "another status": lambda wrapper, content: (207, {wrapper: content}),
        "an error without words": lambda wrapper, _: (530, {wrapper: {"errorcode": 530}}),
        "an error without a code": lambda wrapper, _: (431, {wrapper: {"errortext": "does not exist"}}),
        "an error of another code": lambda w, _: (530, {w: {"errorcode": 431, "errortext": "entity does not exist"}}),
        "an error of odd words": lambda wrapper, _: (431, {wrapper: {"errorcode": 431, "errortext": {"a": ["x"]}}}),
        "an error of an odd code": lambda wrapper, _: (431, {wrapper: {"errorcode": "431", "errortext": "gone"}}),
    }
    what = rng.choice(list(changes))

    def change(_: int, wrapper: str, content: Any) -> tuple[int, str]:
        status, document = changes[what](wrapper, content)
        return status, json.dumps(document)

    return Malformed(f"wrapper: {what}", True, _changed(rng, change))


OF_ANOTHER_KIND: tuple[object, ...] = (
    None,
    "",
    [],
    {},
    0,
    -1,
    1,
    True,
    False,
    1.5,
    10**30,
    "null",
    "true",
    ["x"],
    {"x": {}},
    [[[]]],
    [None],
)
ACTING = ("\x1b[31mred\x1b[0m\x07", "\x9b2J\r\n\x00", "\u202edlrow", "x" * 100_000, "é" * 300)
RUN_BY_OTHERS = (
    "=1+1",
    "\n=cmd|' /C calc'!A0",
    "\uff1d1+1",
    "<script>alert(1)</script>",
    "[bold red]x[/bold red]",
    "[/]",
)
EXPANDED = ("{0}%s%n$(id)`id`", "../../../etc/passwd", "a,b")
VALUES: tuple[object, ...] = (*OF_ANOTHER_KIND, *ACTING, *RUN_BY_OTHERS, *EXPANDED)
WRITTEN = ("NaN", "1e999", '"\\ud800"', "7" * 5000, "[" * 2000 + "]" * 2000, "01", "'x'", "")


def _content(rng: random.Random, _: list[tuple[str, bytes]]) -> Malformed:
    """Send the right wrapper, and one thing in it changed."""
    kind = rng.choice(("drop", "rename", "value", "value", "value", "written", "more", "again"))
    place = rng.random()

    def change(status: int, wrapper: str, content: Any) -> tuple[int, str]:
        found = list(_places(content))
        parent: Any
        key: Any
        parent, key = found[int(place * len(found))] if found else (content, "x")
        write = ""
        if kind == "drop" and found:
            del parent[key]
        elif kind == "rename" and isinstance(parent, dict):
            parent[f"{key}x"] = parent.pop(key, 0)
        elif kind == "value":
            _put(parent, key, value)
        elif kind == "written":
            _put(parent, key, PLACE)
            write = written
        elif kind == "more":
            _put(content, "more", value)
        elif isinstance(parent, list) and found:
            parent.append(parent[key])
        return status, json.dumps({wrapper: content}).replace(json.dumps(PLACE), write)

    value, written = rng.choice(VALUES), rng.choice(WRITTEN)
    with_what = {"written": written, "value": repr(value), "more": repr(value)}.get(kind, "")
    return Malformed(f"content: {kind} {with_what[:40]} at {place:.3f}", False, _changed(rng, change, always=True))


def _put(parent: Any, key: Any, value: object) -> None:
    parent[key] = value


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a document, as what holds it and the key there."""
    keys: list[Any] = list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
    for key in keys:
        yield node, key
        yield from _places(node[key])


def _changed(rng: random.Random, change: Callable[[int, str, Any], tuple[int, str]], *, always: bool = False) -> Fault:
    """Carry the call out, and answer with its answer changed; or don't, and answer likewise."""
    carried = always or rng.random() < 0.6

    def fault(request: Request, passed: Passed) -> None:
        status, text = passed() if carried else (200, json.dumps({f"{request.params['command'].lower()}response": {}}))
        ((wrapper, content),) = json.loads(text).items()
        status, text = change(status, wrapper, content)
        raw(sized(text.encode(), b"%d X" % status))(request)

    return fault


def _perhaps_carried_out(rng: random.Random, fault: Fault) -> Fault:
    carried = rng.random() < 0.5

    def both(request: Request, passed: Passed) -> None:
        if carried:
            passed()
        fault(request, passed)

    return both
