"""Where credentials come from, by the conventions of the cs client."""

from __future__ import annotations

import os
from pathlib import Path

import certifi
import pytest

from vrbench.cloud.credentials.credentials import Credentials, default_files, find_credentials, load_credentials
from vrbench.cloud.errors import ConfigurationError

ENDPOINT = "https://cloud.example.org/client/api"
ENVIRON = {"CLOUDSTACK_ENDPOINT": ENDPOINT, "CLOUDSTACK_KEY": "env-key", "CLOUDSTACK_SECRET": "env-secret"}


def ini(path: Path, section: str = "cloudstack", **values: str) -> Path:
    lines = [f"{name} = {value}" for name, value in values.items()]
    path.write_text(f"[{section}]\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_complete_environment_is_used_alone(tmp_path: Path) -> None:
    """With endpoint, key and secret in the environment no file is looked at."""
    file = ini(tmp_path / "a.ini", key="file-key")
    found = load_credentials(None, ENVIRON, [file])
    assert (found.endpoint, found.key, found.secret, found.verify) == (ENDPOINT, "env-key", "env-secret", True)
    assert "CLOUDSTACK_KEY" in found.source


def test_later_files_win_key_by_key_and_every_source_is_told(tmp_path: Path) -> None:
    """An endpoint in the current directory with keys from home is legal, and said."""
    home = ini(tmp_path / "home.ini", endpoint="https://home.example.org/client/api", key="k", secret="s")
    here = ini(tmp_path / "here.ini", endpoint=ENDPOINT)
    found = load_credentials(None, {}, [home, here, tmp_path / "absent.ini"])
    assert (found.endpoint, found.key) == (ENDPOINT, "k")
    assert f"endpoint from {here}" in found.source
    assert f"secret from {home}" in found.source
    assert found.notes == (
        f"the key from {home} [cloudstack] stands beside https://home.example.org/client/api, which is not asked",
    )


def test_overrides_let_the_environment_win_over_files(tmp_path: Path) -> None:
    """$CLOUDSTACK_OVERRIDES makes files be read, and names what the environment keeps."""
    file = ini(tmp_path / "a.ini", endpoint="https://file.example.org/", key="file-key", secret="file-secret")
    found = load_credentials(None, ENVIRON | {"CLOUDSTACK_OVERRIDES": "endpoint"}, [file])
    assert (found.endpoint, found.key, found.secret) == (ENDPOINT, "file-key", "file-secret")


def test_the_region_names_the_section(tmp_path: Path) -> None:
    """$CLOUDSTACK_REGION chooses another section of the same file."""
    file = ini(tmp_path / "a.ini", section="lab", endpoint=ENDPOINT, key="k", secret="s")
    assert load_credentials(None, {"CLOUDSTACK_REGION": "lab"}, [file]).key == "k"
    with pytest.raises(ConfigurationError, match="no CloudStack endpoint, key, secret found"):
        load_credentials(None, {}, [file])
    with pytest.raises(
        ConfigurationError, match=r"asks for the section 'Lab'; the sections are: 'lab' in .*did you mean"
    ):
        load_credentials(None, {"CLOUDSTACK_REGION": "Lab"}, [file])


def test_the_profiles_endpoint_wins(tmp_path: Path) -> None:
    """Keys come from the file, the address from the profile."""
    file = ini(tmp_path / "a.ini", endpoint="https://file.example.org/", key="k", secret="s")
    found = load_credentials(ENDPOINT, {}, [file])
    assert found.endpoint == ENDPOINT
    assert "endpoint from the profile" in found.source


def test_a_percent_sign_in_a_secret_is_just_that(tmp_path: Path) -> None:
    """No interpolation."""
    file = ini(tmp_path / "a.ini", endpoint=ENDPOINT, key="k", secret="50%off%(x)s")
    assert load_credentials(None, {}, [file]).secret == "50%off%(x)s"


@pytest.mark.parametrize(
    ("setting", "value", "verify"),
    [
        ("dangerous_no_tls_verify", "false", True),
        ("dangerous_no_tls_verify", "True", False),
        ("verify", "false", False),
        ("verify", certifi.where(), certifi.where()),
        ("verify", "true", True),
    ],
)
def test_tls_is_verified_unless_truly_switched_off(setting: str, value: str, verify: bool | str) -> None:
    """By either setting, in so many words; the string "false" of the other one does not."""
    environ = ENVIRON | {f"CLOUDSTACK_{setting.upper()}": value}
    assert load_credentials(None, environ, []).verify == verify


@pytest.mark.parametrize(
    "settings",
    [
        {"DANGEROUS_NO_TLS_VERIFY": "perhaps"},
        {"DANGEROUS_NO_TLS_VERIFY": "false", "VERIFY": "false"},
        {"DANGEROUS_NO_TLS_VERIFY": "true", "VERIFY": "true"},
    ],
)
def test_unclear_tls_settings_are_refused(settings: dict[str, str]) -> None:
    """Neither switches anything off by accident."""
    with pytest.raises(ConfigurationError, match="dangerous_no_tls_verify"):
        load_credentials(None, ENVIRON | {f"CLOUDSTACK_{name}": value for name, value in settings.items()}, [])


def test_missing_parts_are_named_with_the_places_looked_at(tmp_path: Path) -> None:
    """No SystemExit: an error that says what to set and where."""
    with pytest.raises(ConfigurationError) as caught:
        load_credentials(None, {"CLOUDSTACK_KEY": "k"}, [tmp_path / "x.ini"])
    message = str(caught.value)
    assert "endpoint, secret" in message
    assert "CLOUDSTACK_SECRET" in message
    assert str(tmp_path / "x.ini") in message


def test_an_endpoint_must_be_http() -> None:
    """A forgotten scheme is caught here, with an example."""
    with pytest.raises(ConfigurationError, match="https://cloud"):
        load_credentials("cloud.example.org/client/api", ENVIRON, [])


def test_an_unreadable_file_is_named_without_its_contents(tmp_path: Path) -> None:
    """A parser's message would quote the line with the secret."""
    file = tmp_path / "a.ini"
    file.write_text("secret: my-secret-value\n", encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_credentials(None, {}, [file])
    assert str(file) in str(caught.value)
    assert "my-secret-value" not in str(caught.value) + repr(caught.value.__context__)


def test_files_are_read_in_the_order_of_cs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Home, current directory, then $CLOUDSTACK_CONFIG."""
    monkeypatch.setenv("HOME", str(tmp_path))
    files = default_files({"CLOUDSTACK_CONFIG": "~/cs.ini"})
    assert files == (tmp_path / ".cloudstack.ini", Path.cwd() / "cloudstack.ini", tmp_path / "cs.ini")


def test_a_repr_shows_neither_key_nor_secret() -> None:
    """Credentials may be logged."""
    shown = repr(Credentials(ENDPOINT, "hidden-key", "hidden-secret"))
    assert "hidden" not in shown
    assert ENDPOINT in shown


SECRET = "sEcReT-that-nobody-may-see"
GOOD = {"CLOUDSTACK_ENDPOINT": ENDPOINT, "CLOUDSTACK_KEY": SECRET, "CLOUDSTACK_SECRET": SECRET}


def refusal(environ: dict[str, str], *files: Path) -> str:
    """Return what is said of credentials that can't be used; it never holds the secret."""
    with pytest.raises(ConfigurationError) as caught:
        load_credentials(None, environ, files)
    assert SECRET not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ("http://127.0.0.1:99999/client/api", "'http://127.0.0.1:99999/client/api'"),
        ("http://[::1:8080/client/api", "no valid host and port"),
        ("http:///client/api", "no valid host and port"),
        ("http://.example/", "no valid host and port"),
        (f"http://{'a' * 70}.example/", "no valid host and port"),
        ("http://cloud.example.org/client api", "holds U+0020 space at character 32"),
        ("http://cloud.example.org\r\nHost: x", "holds U+000D carriage return at character 25"),
        ("http://cloud.example.org/\udcff", "holds U+DCFF a character without a name at character 26"),
        (f"http://user:{SECRET}@cloud.example.org/", "'http://cloud.example.org/'"),
        (f"https://cloud.example.org/?apikey={SECRET}", "holds more than an address"),
        ("ftp://cloud.example.org/", "is no http(s) address"),
        (SECRET, "is no http(s) address"),
        (f"https://cloud.example.org/{'a' * 3000}", "longer than any address"),
    ],
)
def test_an_odd_endpoint_is_refused(endpoint: str, words: str) -> None:
    """With its source; what may be a password in it is not shown."""
    told = refusal(GOOD | {"CLOUDSTACK_ENDPOINT": endpoint})
    assert words in told
    assert "$CLOUDSTACK_ENDPOINT" in told


@pytest.mark.parametrize("endpoint", ["http://[::1]:8080/client/api", "https://münchen.example/client/api"])
def test_an_endpoint_may_be_any_host(endpoint: str) -> None:
    """By IPv6, and by a name in any script."""
    assert load_credentials(None, GOOD | {"CLOUDSTACK_ENDPOINT": endpoint}, []).endpoint == endpoint


@pytest.mark.parametrize("name", ["key", "secret"])
@pytest.mark.parametrize("odd", [" x", "\nx", "\x1b[31m", "\u200bx", "\udcff", "'", "\u201d", "\u0430", "\u2013"])
def test_a_damaged_key_is_refused_unseen(name: str, odd: str) -> None:
    """It was damaged when it was copied: the server would only say that it doesn't know it."""
    told = refusal(GOOD | {f"CLOUDSTACK_{name.upper()}": SECRET + odd})
    held = f"holds U+{ord(odd[0]):04X} "
    assert f"the {name} from $CLOUDSTACK_{name.upper()} {held}" in told
    assert f" at character {len(SECRET) + 1}: write it anew" in told


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("CLOUDSTACK_VERIFY", "/nowhere/ca.pem", "verify = '/nowhere/ca.pem' from $CLOUDSTACK_VERIFY: No such file"),
        ("CLOUDSTACK_VERIFY", __file__, "no certificates are in it"),
        ("CLOUDSTACK_VERIFY", "/etc", "run openssl rehash /etc"),
        ("CLOUDSTACK_CERT", "/nowhere/client.pem", "cert = '/nowhere/client.pem' from $CLOUDSTACK_CERT: No such file"),
        ("CLOUDSTACK_CERT", certifi.where(), "no certificate and key that belong together"),
        ("CLOUDSTACK_CERT_KEY", "/nowhere/client.key", "has no cert beside it"),
        ("CLOUDSTACK_VERIFY", "/dev/zero", "it is a device, not a file"),
        ("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem", "REQUESTS_CA_BUNDLE = '/nowhere/ca.pem' from the environment"),
    ],
)
def test_certificates_that_are_not_there(setting: str, value: str, words: str) -> None:
    """By the setting's name, before anything is asked."""
    assert words in refusal(GOOD | {setting: value})


def test_what_this_machine_trusts_is_trusted(tmp_path: Path) -> None:
    """A private certificate authority, set for whatever speaks HTTPS; a setting of CloudStack's own goes before it."""
    bundle, other = certifi.where(), str(tmp_path)
    (tmp_path / "0a1b2c3d.0").touch()  # as openssl rehash names them
    assert load_credentials(None, ENVIRON | {"CURL_CA_BUNDLE": bundle}, []).verify == bundle
    own = {"REQUESTS_CA_BUNDLE": bundle, "CLOUDSTACK_VERIFY": other}
    assert load_credentials(None, ENVIRON | own, []).verify == other


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    """A pipe would be waited for; a directory, a link to itself and bytes that are no text are told."""
    pipe, loop, binary = (tmp_path / name for name in ("pipe", "loop", "binary"))
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    binary.write_bytes(b"[cloudstack]\nsecret = \xff" + SECRET.encode())
    assert "it is a pipe, not a file" in refusal({}, pipe)
    assert "symbolic links" in refusal({}, loop)
    assert "it is a directory" in refusal({}, tmp_path)
    assert "not UTF-8" in refusal({}, binary)


def test_a_file_may_begin_with_a_mark_of_its_encoding(tmp_path: Path) -> None:
    """Some editors put one."""
    file = tmp_path / "a.ini"
    file.write_text(f"\ufeff[cloudstack]\nendpoint = {ENDPOINT}\nkey = k\nsecret = s\n", encoding="utf-8")
    assert load_credentials(None, {}, [file]).key == "k"


def test_an_unknown_home_is_no_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """``~nobody-of-that-name`` names nobody; and the current directory may be gone."""
    here = tmp_path / "gone"
    here.mkdir()
    monkeypatch.chdir(here)
    here.rmdir()
    assert default_files({"CLOUDSTACK_CONFIG": "~nobody-of-that-name/x.ini"})[-1].name == "x.ini"


def two(tmp_path: Path, first: dict[str, str], second: dict[str, str]) -> tuple[Path, Path]:
    return ini(tmp_path / "home.ini", **first), ini(tmp_path / "named.ini", **second)


FULL = {"endpoint": "https://file.example.org/client/api", "key": "file-key", "secret": "file-secret"}


def test_an_endpoint_of_the_environment_borrows_no_key_of_another_cloud(tmp_path: Path) -> None:
    """Both endpoints and both places are named, and no key."""
    file = ini(tmp_path / "a.ini", **FULL)
    with pytest.raises(ConfigurationError) as caught:
        load_credentials(None, {"CLOUDSTACK_ENDPOINT": ENDPOINT, "CLOUDSTACK_SECRET": "s"}, [file])
    told = str(caught.value)
    assert f"two endpoints: {ENDPOINT} from $CLOUDSTACK_ENDPOINT" in told
    assert f"and https://file.example.org/client/api from {file} [cloudstack], which the key comes from" in told
    assert "file-key" not in told


@pytest.mark.parametrize(
    "written", ["HTTPS://CLOUD.example.org/client/api", "https://cloud.example.org:443/client/api/"]
)
def test_the_same_endpoint_in_other_words_is_the_same(tmp_path: Path, written: str) -> None:
    """So the file's key is its own."""
    file = ini(tmp_path / "a.ini", endpoint=ENDPOINT, key="file-key", secret="s")
    found = load_credentials(None, {"CLOUDSTACK_ENDPOINT": written}, [file])
    assert (found.endpoint, found.key) == (written, "file-key")


def test_overrides_let_a_files_key_go_to_another_endpoint(tmp_path: Path) -> None:
    """Whoever names the endpoint there has said so."""
    environ = {"CLOUDSTACK_ENDPOINT": ENDPOINT, "CLOUDSTACK_OVERRIDES": "endpoint"}
    found = load_credentials(None, environ, [ini(tmp_path / "a.ini", **FULL)])
    assert (found.endpoint, found.key) == (ENDPOINT, "file-key")


def test_what_was_not_used_is_told(tmp_path: Path) -> None:
    """Of the environment where the files win, of files where the environment has all, and of the profile's losers."""
    file = ini(tmp_path / "a.ini", **FULL)
    environ = {"CLOUDSTACK_KEY": "other", "CLOUDSTACK_SECRET": "file-secret"}
    (lost,) = load_credentials(None, environ, [file]).notes
    assert lost == "not used, as the files win: $CLOUDSTACK_KEY; see CLOUDSTACK_OVERRIDES"
    (unread,) = load_credentials(None, ENVIRON | {"CLOUDSTACK_REGION": "prod"}, [file]).notes
    assert unread == "not read, as the environment gives all: $CLOUDSTACK_REGION"
    (asked,) = load_credentials(ENDPOINT, {}, [file]).notes
    assert asked.startswith("the profile's endpoint is asked, not https://file.example.org/client/api from ")
    assert load_credentials(FULL["endpoint"] + "/", {}, [file]).notes == ()
    (of_run,) = find_credentials("https://run.example.org/client/api", ENVIRON, "the run").notes
    told = f"the run's endpoint is asked, not {ENDPOINT} from $CLOUDSTACK_ENDPOINT; the key is from $CLOUDSTACK_KEY"
    assert of_run == told


def test_a_named_file_is_there_and_has_the_section(tmp_path: Path) -> None:
    """Else another cloud would be asked than the one of that file."""
    home, named = two(tmp_path, FULL, {})
    ini(named, section="prod", **FULL)
    environ = {"CLOUDSTACK_CONFIG": str(named)}
    with pytest.raises(
        ConfigurationError, match=r"no section 'cloudstack'; the sections are: .*'prod' in .*named\.ini"
    ):
        load_credentials(None, environ, [home, named])
    assert load_credentials(None, environ | {"CLOUDSTACK_REGION": "prod"}, [home, named]).key == "file-key"
    named.unlink()
    with pytest.raises(ConfigurationError, match=r"CLOUDSTACK_CONFIG names .*named\.ini, and there is no such file"):
        load_credentials(None, environ, [home, named])


def test_what_a_file_has_instead_is_named(tmp_path: Path) -> None:
    """Another section, and names of other tools, or misspelled ones."""
    file = ini(tmp_path / "a.ini", section="prod", **FULL)
    assert f"{file} has no [cloudstack], but 'prod': set CLOUDSTACK_REGION" in refusal({}, file)
    other = ini(tmp_path / "b.ini", endpoint=ENDPOINT, apikey=SECRET, secert=SECRET)
    told = refusal({}, other)
    assert "no CloudStack key, secret found" in told
    assert f"; apikey in {other} [cloudstack] is key here; secert in {other} [cloudstack] is secret here)" in told


def test_what_no_key_of_cloudstack_holds_is_told() -> None:
    """It may be a comment's sign without a blank before it; or the key is somebody's own after all."""
    (note,) = load_credentials(None, ENVIRON | {"CLOUDSTACK_KEY": "abc#ours"}, []).notes
    assert note == "the key from $CLOUDSTACK_KEY holds U+0023 number sign, which CloudStack's own never do"


@pytest.mark.parametrize("empty", ["endpoint", "key", "secret"])
@pytest.mark.parametrize("value", ["", '""', "\u200b"])
def test_a_setting_without_a_value_is_missing(tmp_path: Path, empty: str, value: str) -> None:
    """It hides an earlier file's, as in cs."""
    home, here = two(tmp_path, FULL, {**FULL, empty: value})
    assert f"no CloudStack {empty} found" in refusal({}, home, here)


def test_variables_of_other_tools_are_named() -> None:
    """Where ours are missing; and a misspelled one where they are not."""
    told = refusal({"CLOUDSTACK_API_URL": ENDPOINT, "CLOUDSTACK_API_KEY": SECRET})
    assert "CLOUDSTACK_API_URL is CLOUDSTACK_ENDPOINT here and CLOUDSTACK_API_KEY is CLOUDSTACK_KEY here" in told
    (note,) = load_credentials(None, ENVIRON | {"CLOUDSTACK_TIMEOUTS": "5", "CLOUDSTACK_HEADER_X": "1"}, []).notes
    assert "$CLOUDSTACK_TIMEOUTS (did you mean CLOUDSTACK_TIMEOUT?)" in note
    assert "$CLOUDSTACK_HEADER_X (headers are read from files only" in note


def test_a_broken_endpoint_is_told_as_such_or_as_another(tmp_path: Path) -> None:
    """It is no other cloud's address, and nobody's: nothing of it is a bug."""
    file = ini(tmp_path / "a.ini", **FULL)
    assert "two endpoints: http://[::1 from $CLOUDSTACK_ENDPOINT" in refusal(
        {"CLOUDSTACK_ENDPOINT": "http://[::1"}, file
    )


def test_a_header_keeps_its_quotes(tmp_path: Path) -> None:
    """They may belong to it; that they are sent is told."""
    file = ini(tmp_path / "a.ini", **FULL, header_x='"token"')
    found = load_credentials(None, {}, [file])
    assert found.manner.headers == {"x": '"token"'}
    assert found.notes == (f"header_x from {file} [cloudstack] is sent with its quotes",)
