"""Values and files as editors, shells and Windows leave them: read where that is certain, else refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from vrbench.cloud.credentials.credentials import Credentials, load_credentials
from vrbench.cloud.errors import ConfigurationError

ENDPOINT = "http://127.0.0.1:44273/client/api"
KEY, SECRET = "kEy-0123456789", "sEcReT-that-nobody-may-see"
PLAIN = f"[cloudstack]\nendpoint = {ENDPOINT}\nkey = {KEY}\nsecret = {SECRET}\n"
BARE = PLAIN.removeprefix("[cloudstack]\n")


def read(tmp_path: Path, content: bytes | str, **environ: str) -> Credentials:
    file = tmp_path / "a.ini"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_credentials(None, environ, [file])


def refused(tmp_path: Path, content: bytes | str, **environ: str) -> str:
    """Return what is said; no key or secret is shown, not even in part, nor hangs on to the exception."""
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, content, **environ)
    told = str(caught.value)
    assert [part for part in (KEY[:6], SECRET[:6], SECRET[-6:]) if part in told + repr(caught.value.__context__)] == []
    return told


READ: dict[str, bytes | str] = {
    "a mark of UTF-8": "\ufeff" + PLAIN,
    "UTF-16": PLAIN.encode("utf-16"),
    "UTF-16, the other way round": "\ufeff".encode("utf-16-be") + PLAIN.encode("utf-16-be"),
    "UTF-16 without a mark": PLAIN.encode("utf-16-le"),
    "UTF-16 without a mark, the other way round": PLAIN.encode("utf-16-be"),
    "UTF-32": PLAIN.encode("utf-32"),
    "lines of Windows": PLAIN.replace("\n", "\r\n"),
    "lines of old Macs": PLAIN.replace("\n", "\r"),
    "lines that were turned twice": PLAIN.replace("\n", "\r\r\n"),
    "no line's end at the end": PLAIN.rstrip(),
    "blanks behind": PLAIN.replace("\n", "  \t\n"),
    "a no-break space behind": PLAIN.replace("\n", "\xa0\n"),
    "a no-break space before": PLAIN.replace("= ", "=\xa0"),
    "a zero-width space behind": PLAIN.replace(SECRET, SECRET + "\u200b"),
    "quotes": f'[cloudstack]\nendpoint = "{ENDPOINT}"\nkey = "{KEY}"\nsecret = "{SECRET}"\n',
    "single quotes": f"[cloudstack]\nendpoint = '{ENDPOINT}'\nkey = '{KEY}'\nsecret = '{SECRET}'\n",
    "curly quotes": PLAIN.replace(SECRET, f"\u201c{SECRET}\u201d"),
    "German quotes": PLAIN.replace(SECRET, f"\u201e{SECRET}\u201c"),
    "quotes with a blank inside": PLAIN.replace(SECRET, f'"{SECRET} "'),
    "a comment behind": PLAIN.replace(SECRET, f"{SECRET}  ; of the test account"),
    "a comment behind quotes": PLAIN.replace(SECRET, f'"{SECRET}" # "ours"'),
    "a comment behind the header": PLAIN.replace("[cloudstack]", "[cloudstack]  # here"),
    "blanks in the header": PLAIN.replace("[cloudstack]", "[ cloudstack\xa0]"),
    "colons": PLAIN.replace(" = ", ": "),
    "names in capitals": PLAIN.replace("secret =", "SECRET ="),
    "names in quotes": PLAIN.replace("secret =", '"secret" ='),
    "the same twice": PLAIN + BARE,
    "a section twice": PLAIN.replace("secret", "[cloudstack]\nsecret"),
    "no section": BARE,
    "a shell's file": f"export CLOUDSTACK_ENDPOINT={ENDPOINT}\nexport CLOUDSTACK_KEY='{KEY}'\n"
    f'export CLOUDSTACK_SECRET="{SECRET}"  # ours\n',
    "a file of variables": f"CLOUDSTACK_ENDPOINT={ENDPOINT}\r\nCLOUDSTACK_KEY={KEY}\r\nCLOUDSTACK_SECRET={SECRET}\r\n",
    "Windows' own shell": f"set CLOUDSTACK_ENDPOINT={ENDPOINT}\nset CLOUDSTACK_KEY={KEY}\n"
    f"set CLOUDSTACK_SECRET={SECRET}",
    "PowerShell": f'$env:CLOUDSTACK_ENDPOINT="{ENDPOINT}"\n$env:CLOUDSTACK_KEY="{KEY}"\n'
    f'$env:CLOUDSTACK_SECRET="{SECRET}"',
    "a value on the next line": PLAIN.replace(f"= {SECRET}", f"=\n    {SECRET}"),
    "other sections that make no sense": PLAIN + "[other]\nkey = 1\nkey = 2\nsecret = ' \n",
}


@pytest.mark.parametrize("content", READ.values(), ids=READ)
def test_what_is_certain_is_read(tmp_path: Path, content: bytes | str) -> None:
    """As if it had been written plainly."""
    found = read(tmp_path, content)
    assert (found.endpoint, found.key, found.secret) == (ENDPOINT, KEY, SECRET)


REFUSED = {
    "one quote": (PLAIN.replace(SECRET, f'{SECRET}"'), "U+0022 quotation mark at line 4, column 36: write it anew"),
    "a quote of one side": (
        PLAIN.replace(KEY, f"\u201c{KEY}"),
        "U+201C left double quotation mark at line 3, column 7",
    ),
    "a quote inside": (PLAIN.replace("-that", "'that"), "U+0027 apostrophe at line 4, column 16"),
    "a blank inside": (PLAIN.replace("-that", " that"), "U+0020 space at line 4, column 16"),
    "a longer dash": (PLAIN.replace("-that", "\u2013that"), "U+2013 en dash at line 4, column 16"),
    "a letter of another script": (PLAIN.replace("kEy", "\u043aEy"), "U+043A cyrillic small letter ka at line 3, col"),
    "an escape": (PLAIN.replace("-that", "\x1b[31mthat"), "U+001B escape at line 4, column 16"),
    "a null": (PLAIN.replace("-that", "\0that"), "U+0000 null at line 4, column 16"),
    "a mark inside": (PLAIN.replace("-that", "\ufeffthat"), "U+FEFF byte order mark at line 4, column 16"),
    "quotes, a blank inside": (PLAIN.replace(SECRET, f'"{SECRET} x"'), "U+0020 space at line 4, column 37"),
    "an address with odd letters": (
        PLAIN.replace("http:", "http\uff1a"),
        "is no http(s) address; it holds U+FF1A fullwidth colon at line 2, column 16",
    ),
    "an indented line": (
        PLAIN.replace("secret", "  secret"),
        "goes on at line 4, column 3, since that line is indented",
    ),
    "two of one name": (
        PLAIN + "secret = another\n",
        "lines 4 and 5: secret stands twice in [cloudstack], with different",
    ),
    "two sections at odds": (
        PLAIN + "\n[cloudstack]\nkey = other\n",
        "lines 3 and 7: key stands twice in [cloudstack]",
    ),
    "a line without =": (PLAIN.replace("key =", "key"), "line 3, column 1: neither a [section] nor a setting"),
    "another equals sign": (
        PLAIN.replace("key =", "key \uff1d"),
        "line 3, column 5: no = in this line, which holds U+FF1D",
    ),
    "half a header": (PLAIN.replace("ck]", "ck"), "line 1, column 1: a [ without its ]"),
    "a line above the header": ("key = x\n" + PLAIN, "line 1, column 1: a line stands above the first [section]"),
    "something else altogether": ("name = x\n", "line 1, column 1: a line stands above the first [section]"),
    "JSON": (f'\n{{"endpoint": "{ENDPOINT}", "secret": "{SECRET}"}}', "line 2, column 1: the file begins with U+007B"),
    "YAML": (
        f"cloudstack:\n  secret: {SECRET}\n",
        "line 1, column 1: the file begins with U+0063 latin small letter c",
    ),
    "YAML with a mark": (f"---\nsecret: {SECRET}\n", "as YAML does; it is no ini file"),
    "a page": (f"<html>{SECRET}</html>", "as XML or HTML does"),
    "what a shell fills in": (f"export CLOUDSTACK_SECRET=$(pass {SECRET})", "line 1, column 26: a shell would fill"),
    "another encoding": (PLAIN.encode() + b"# Schl\xfcssel\n", "not UTF-8 text: line 5, column 7 holds the byte 0xFC"),
    "half UTF-16": (PLAIN.encode("utf-16") + b"x", "it is not UTF-16-LE text"),
    "percent signs of two kinds": (PLAIN.replace("-that", "%%th%at"), "% stands there both once and twice"),
    "a name that is not there": (PLAIN.replace("-that", "%(pass)s"), "stands for a name that is not in this section"),
}


@pytest.mark.parametrize(("content", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_certain_is_refused(tmp_path: Path, content: bytes | str, words: str) -> None:
    """With the character, and where it stands."""
    assert words in refused(tmp_path, content)


TOLD = {
    "a carriage return": ("\r", "ends in U+000D carriage return"),
    "a line's end": ("\n", "ends in U+000A line feed"),
    "Windows' line's end": ("\r\n", "ends in U+000D carriage return"),
    "a blank": (" ", "ends in U+0020 space"),
    "a tab": ("\t", "ends in U+0009 tab"),
    "a no-break space": ("\xa0", "ends in U+00A0 no-break space"),
    "a zero-width space": ("\u200b", "ends in U+200B zero width space"),
    "a comment": (" # ours", "has a comment behind it (U+0023 number sign)"),
}


@pytest.mark.parametrize(("behind", "words"), TOLD.values(), ids=TOLD)
@pytest.mark.parametrize("name", ["endpoint", "key", "secret"])
def test_what_the_environment_has_too_much_is_told(name: str, behind: str, words: str) -> None:
    """The value is used without it."""
    plain = {"endpoint": ENDPOINT, "key": KEY, "secret": SECRET}
    environ = {f"CLOUDSTACK_{n.upper()}": v + (behind if n == name else "") for n, v in plain.items()}
    found = load_credentials(None, environ, [])
    assert (found.endpoint, found.key, found.secret) == (ENDPOINT, KEY, SECRET)
    assert found.notes == (f"the {name} from $CLOUDSTACK_{name.upper()} {words}: that is left out",)


def test_what_is_alike_is_told_once(tmp_path: Path) -> None:
    """Of a file whose values all stand in quotes."""
    (note,) = read(tmp_path, READ["quotes"]).notes
    told = "stands in quotes (U+0022 quotation mark): that is left out"
    assert note == f"each of endpoint, key and secret from {tmp_path / 'a.ini'} [cloudstack] {told}"


def test_quotes_in_the_environment_are_told() -> None:
    """As ``docker --env-file`` leaves them."""
    environ = {"CLOUDSTACK_ENDPOINT": f'"{ENDPOINT}"', "CLOUDSTACK_KEY": f"'{KEY}'", "CLOUDSTACK_SECRET": SECRET}
    found = load_credentials(None, environ, [])
    assert (found.endpoint, found.key) == (ENDPOINT, KEY)
    assert found.notes == (
        "the endpoint from $CLOUDSTACK_ENDPOINT stands in quotes (U+0022 quotation mark): that is left out",
        "the key from $CLOUDSTACK_KEY stands in quotes (U+0027 apostrophe): that is left out",
    )


def test_where_to_look_may_have_too_much_as_well(tmp_path: Path) -> None:
    """A region with a carriage return is that region."""
    found = read(tmp_path, PLAIN.replace("cloudstack]", "prod]"), CLOUDSTACK_REGION="prod\r", CLOUDSTACK_CONFIG='"a"\r')
    assert found.key == KEY
    assert found.source == f"all from {tmp_path / 'a.ini'} [prod]"
