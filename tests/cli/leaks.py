"""Where secrets turn up that should not: in files, in what is printed, in command lines and environments."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

PRIVATE = b"PRIVATE KEY"
LOOK_S = 0.05

Secrets = Mapping[str, str]  # by what they are


def forms(secret: str) -> set[bytes]:
    """Return how a secret may be written: as it is, quoted, escaped, in hexadecimal, inside base64 at any offset."""
    raw = secret.encode()
    plain = {secret, quote(secret), quote(secret, safe=""), quote(quote(secret, safe=""), safe="")}
    plain |= {json.dumps(secret)[1:-1], raw.hex(), raw.hex().upper()}
    for offset, unsure in enumerate((0, 2, 3)):
        text = base64.b64encode(b"\0" * offset + raw).decode().rstrip("=")[unsure:-1]
        plain |= {text, text.replace("+", "-").replace("/", "_")}
    return {form.encode() for form in plain}


def key_lines(private_key: str) -> Secrets:
    """Return what is secret of a private key: its lines, but for the first, which all keys have in common."""
    body = [line for line in private_key.splitlines() if "-----" not in line]
    return {f"line {number} of the private key": line for number, line in enumerate(body[2:], 3) if len(line) > 20}


def leaks(content: bytes, where: str, secrets: Secrets) -> list[str]:
    """Name every secret that shows in some bytes."""
    found = [f"{where}: {name}" for name, secret in secrets.items() if any(form in content for form in forms(secret))]
    return found + ([f"{where}: a private key"] if PRIVATE in content else [])


def leaks_in_files(place: Path, secrets: Secrets, spared: Callable[[Path], bool] = lambda _path: False) -> list[str]:
    """Name every secret in any file, or any file's name, under a directory."""
    files = [path for path in sorted(place.rglob("*")) if path.is_file() and not spared(path)]
    assert files, f"nothing lies under {place}"
    return [leak for path in files for leak in leaks(str(path).encode() + path.read_bytes(), str(path), secrets)]


class Watch:
    """Keeps what processes showed of themselves, by process: each command line, with the environment it had then."""

    def __init__(self) -> None:
        self._shown: dict[int, dict[bytes, bytes]] = {}

    def look(self) -> None:
        """Look at all processes once, at those with another command line than before more closely."""
        for process in Path("/proc").glob("[0-9]*"):
            shown = self._shown.setdefault(int(process.name), {})
            try:
                words = (process / "cmdline").read_bytes()
                # Its environment comes after: one that has just begun shows its starter's until then.
                if words not in shown:
                    shown[words] = (process / "environ").read_bytes()
            except OSError:
                continue

    def processes(self, like: Callable[[bytes], bool]) -> set[int]:
        """Return the processes with such a command line."""
        return {pid for pid, shown in list(self._shown.items()) if any(map(like, list(shown)))}

    def leaks(self, secrets: Secrets, handed: Callable[[bytes], bool] = lambda _words: False) -> list[str]:
        """Name every secret that a process showed, but for those in environments that were ``handed`` over."""
        found = []
        for shown in list(self._shown.values()):
            for words, environ in list(shown.items()):
                what = repr(words.replace(b"\0", b" ").decode(errors="replace")[:200])
                found += leaks(words, f"cmdline of {what}", secrets)
                found += [] if handed(words) else leaks(environ, f"environ of {what}", secrets)
        return found


@contextmanager
def watched() -> Iterator[Watch]:
    """Look at all processes, again and again, until the block ends."""
    watch, over = Watch(), threading.Event()

    def work() -> None:
        while not over.wait(LOOK_S):
            watch.look()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield watch
    finally:
        over.set()
        thread.join()
