"""Where credentials come from, by the conventions of the cs client."""

from __future__ import annotations

from pathlib import Path

import pytest

from vrbench.cloud.credentials import Credentials, default_files, load_credentials
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
        ("verify", "/etc/ssl/own.pem", "/etc/ssl/own.pem"),
        ("verify", "true", True),
    ],
)
def test_tls_is_verified_unless_truly_switched_off(setting: str, value: str, verify: bool | str) -> None:
    """The string "false" does not switch verification off, as it does in cs."""
    environ = ENVIRON | {f"CLOUDSTACK_{setting.upper()}": value}
    assert load_credentials(None, environ, []).verify == verify


@pytest.mark.parametrize(("setting", "value"), [("verify", "false"), ("dangerous_no_tls_verify", "perhaps")])
def test_unclear_tls_settings_are_refused(setting: str, value: str) -> None:
    """Neither switches anything off by accident."""
    with pytest.raises(ConfigurationError, match="dangerous_no_tls_verify"):
        load_credentials(None, ENVIRON | {f"CLOUDSTACK_{setting.upper()}": value}, [])


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


def test_files_are_read_in_the_order_of_cs(tmp_path: Path) -> None:
    """Home, current directory, then $CLOUDSTACK_CONFIG."""
    files = default_files({"CLOUDSTACK_CONFIG": "/etc/cs.ini"}, tmp_path / "home", tmp_path / "here")
    assert files == (tmp_path / "home/.cloudstack.ini", tmp_path / "here/cloudstack.ini", Path("/etc/cs.ini"))


def test_a_repr_shows_neither_key_nor_secret() -> None:
    """Credentials may be logged."""
    shown = repr(Credentials(ENDPOINT, "hidden-key", "hidden-secret"))
    assert "hidden" not in shown
    assert ENDPOINT in shown
