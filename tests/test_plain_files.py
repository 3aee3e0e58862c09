"""What is no true file is refused in words, and at once: nothing waits for a writer, and nothing reads without end."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from vrbench.plain_files import read_plain, read_text


def reason(path: Path, most: int = 1000) -> str:
    with pytest.raises(OSError) as caught:  # noqa: PT011  which one is told by its words
        read_plain(path, most)
    return str(caught.value.strerror)


def test_what_is_no_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe without a writer, a socket, a directory, devices without end, and links that lead nowhere."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        assert reason(Path("socket")) == "it is a socket, not a file"
    Path("loop").symlink_to("loop")
    assert reason(Path("pipe")) == "it is a pipe, not a file"
    assert reason(tmp_path) == "it is a directory, not a file"
    assert reason(Path("/dev/zero")) == "it is a device, not a file"
    assert reason(Path("loop")) == "Too many levels of symbolic links"
    assert reason(Path("x" * 300)) == "File name too long"
    assert reason(Path("a\0b")) == "no file can have that name"
    assert reason(Path("nowhere")) == "No such file or directory"


def test_a_file_has_its_size(tmp_path: Path) -> None:
    """As large as its kind may be, and not one byte more; a file with holes counts as it would be read."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 1000)
    assert read_plain(path, 1000) == b"x" * 1000
    assert "larger than 0.000999 MB" in reason(path, 999)
    os.truncate(path, 1 << 40)
    assert "larger than 1 MB" in reason(path, 1_000_000)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_text_is_text_in_any_encoding_that_says_so(tmp_path: Path, encoding: str, end: str) -> None:
    """With lines as we end them."""
    path = tmp_path / "file"
    path.write_bytes(f"[a]{end}b = \u00fc\U0001f435{end}".encode(encoding))
    assert read_text(path, 1000) == "[a]\nb = \u00fc\U0001f435\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a\r\nb\xff", "it is not UTF-8 text: line 2, column 2 holds the byte 0xFF; save it as UTF-8"),
        (b"\xfc", "line 1, column 1 holds the byte 0xFC"),
        (b"\xff\xfea\0\n\0b", "it is not UTF-16-LE text: line 2, column 1 holds the byte 0x62"),
    ],
)
def test_what_is_no_text_is_told_with_its_place(tmp_path: Path, content: bytes, words: str) -> None:
    """So that an editor finds it."""
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(OSError, match=words.replace(".", r"\.")) as caught:
        read_text(path, 1000)
    assert words in str(caught.value.strerror)
