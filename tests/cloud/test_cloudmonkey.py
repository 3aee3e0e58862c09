"""CloudMonkey's profiles: read where nothing else is given, or where they are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from vrbench.cloud.credentials.credentials import Credentials, find_credentials
from vrbench.cloud.errors import ConfigurationError

ENDPOINT = "http://127.0.0.1:44273/client/api"
NEW = f"""prompt     = \U0001f435
asyncblock = true
timeout    = 1800
output     = json
verifycert = true
profile    = mine

[localcloud]
url       = http://localhost:8080/client/api
username  = admin
password  = password
domain    = /
apikey    =
secretkey =

[mine]
url       = {ENDPOINT}
username  = me
password  = not-to-be-shown
domain    = /
apikey    = k1
secretkey = s1
"""
OLD = f"""[core]
profile = server
asyncblock = true

[ui]
color = true
display = default

[server]
domain = /
username = me
apikey = k2
url = {ENDPOINT}
expires = 600
secretkey = s2
timeout = 3600
password = not-to-be-shown
verifysslcert = false
signatureversion = 3
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty home, and stand in a folder that is empty as well."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def put(home: Path, text: str, name: str = ".cmk/config") -> Path:
    path = home / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def refused(environ: dict[str, str]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        find_credentials("", environ)
    assert "not-to-be-shown" not in str(caught.value)
    return str(caught.value)


def parts(found: Credentials) -> tuple[str, str, str]:
    return found.endpoint, found.key, found.secret


def test_the_current_profile_is_read(home: Path) -> None:
    """Its file and the profile are named, and so is what CloudMonkey would do and vrbench does not."""
    path = put(home, NEW)
    found = find_credentials("", {})
    assert parts(found) == (ENDPOINT, "k1", "s1")
    assert found.source == f"all from {path} [mine]"
    assert (found.verify, found.manner.timeout_s) == (True, None)
    assert [note for note in found.notes if "job_timeout" in note] == list(found.notes)


def test_the_older_file_is_read(home: Path) -> None:
    """With certificates that are not checked, as it says."""
    put(home, OLD, ".cloudmonkey/config")
    found = find_credentials("", {})
    assert (parts(found), found.verify) == ((ENDPOINT, "k2", "s2"), False)


def test_the_newer_file_goes_first(home: Path) -> None:
    """Who has both uses the newer one."""
    put(home, OLD, ".cloudmonkey/config")
    put(home, NEW)
    assert find_credentials("", {}).key == "k1"


@pytest.mark.parametrize("text", [NEW, "\ufeff" + NEW.replace("\n", "\r\n"), OLD, NEW.replace("k1", '"k1"')])
def test_a_file_that_is_named_is_recognised(home: Path, text: str) -> None:
    """Wherever it lies."""
    path = put(home, text, "other/cmkconfig")
    found = find_credentials("", {"CLOUDSTACK_CONFIG": str(path)})
    assert found.endpoint == ENDPOINT
    assert str(path) in found.source


def test_a_region_is_a_profile(home: Path) -> None:
    """As it is a section of cs's own files."""
    put(home, NEW.replace("profile    = mine", "profile    = localcloud"))
    assert find_credentials("", {"CLOUDSTACK_REGION": "mine"}).key == "k1"
    told = refused({"CLOUDSTACK_REGION": "mime"})
    assert "no CloudMonkey profile 'mime'; there are 'localcloud', 'mine': did you mean mine?" in told


def test_a_password_alone_is_refused_in_words(home: Path) -> None:
    """A session by password would end in the middle of a run."""
    put(home, NEW.replace("profile    = mine", ""))
    assert "'localcloud'" in (told := refused({}))
    assert "has no apikey and secretkey, and a password is not taken" in told


def test_anything_else_goes_before_it(home: Path) -> None:
    """A file of cs's, or a variable, even where that is not enough."""
    put(home, NEW)
    assert "no CloudStack endpoint, secret found" in refused({"CLOUDSTACK_KEY": "k"})
    put(home, f"[cloudstack]\nendpoint = {ENDPOINT}\nkey = k3\nsecret = s3\n", ".cloudstack.ini")
    assert find_credentials("", {}).key == "k3"


def test_a_key_is_not_sent_elsewhere(home: Path) -> None:
    """A named file of CloudMonkey's belongs to the cloud that it names, too."""
    path = put(home, NEW, "cmkconfig")
    told = refused({"CLOUDSTACK_CONFIG": str(path), "CLOUDSTACK_ENDPOINT": "http://127.0.0.1:9/client/api"})
    assert "two endpoints: http://127.0.0.1:9/client/api from $CLOUDSTACK_ENDPOINT, and " + ENDPOINT in told


def test_no_url_is_told(home: Path) -> None:
    """Rather than asking this machine, as CloudMonkey would."""
    put(home, NEW.replace("url ", "uri "))
    assert "has no url" in refused({})
