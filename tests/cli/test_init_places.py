"""A profile for a project, or for another account: asked where there is a choice, named by --set, and never edited."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.cloud.lab import QUICK
from tests.cloud.places import Places, places
from vrbench.cli.doctor_cloud import check_cloud
from vrbench.cli.exits import Exit
from vrbench.cli.main import cli
from vrbench.cli.profiles import open_profile
from vrbench.cloud.errors import PreflightError
from vrbench.core.findings import FindingState
from vrbench.core.plan.plan import make_plan


@pytest.fixture(scope="module")
def here() -> Iterator[Places]:
    with places(QUICK) as made:
        yield made


@pytest.fixture(autouse=True)
def nothing_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ping nobody: what is looked at is the cloud."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("vrbench.cli.init._answers", lambda _: False)


def init(here: Places, monkeypatch: pytest.MonkeyPatch, role: str, *words: str) -> Result:
    caller = here.lab.server.callers()[role]
    for name, value in (("ENDPOINT", here.lab.endpoint), ("KEY", caller.apikey), ("SECRET", caller.secretkey)):
        monkeypatch.setenv(f"CLOUDSTACK_{name}", value)
    return CliRunner().invoke(cli, ["init", *words], standalone_mode=False)


def doctor() -> dict[str, str]:
    """Return what doctor finds of the cloud; nothing of it is bad."""
    found = list(check_cloud(make_plan(open_profile("mine.toml", ()), "20261124T120000Z-1a2b3c4d-mine")))
    assert not [finding for finding in found if finding.state is FindingState.BAD]
    return {finding.name: finding.found for finding in found}


def test_without_asking_it_is_the_accounts_own(here: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """The profile says that there are projects, too."""
    done = init(here, monkeypatch, "user", "--yes")
    assert done.return_value == Exit.OK, done.output
    assert "the account's own, in no project, one of 2" in done.output
    assert open_profile("mine.toml", ()).cloud.project == ""
    assert "builds for" not in doctor()


@pytest.mark.parametrize(
    ("role", "named", "found"),
    [
        ("user", {"project": "alpha"}, "project 'alpha' in ops"),
        ("domadmin", {"project": "alpha"}, "project 'alpha' in ROOT/ops"),
        ("root", {"project": "twin", "domain": "ROOT/b/a"}, "project 'twin' in ROOT/b/a"),
        ("root", {"account": "subuser", "domain": "ROOT/ops/a"}, "account 'subuser' in ROOT/ops/a"),
        ("domadmin", {"account": "subuser"}, "account 'subuser' in ROOT/ops/a"),
    ],
)
def test_whoever_is_named_stands_in_the_profile_and_doctor_says_so(
    here: Places, monkeypatch: pytest.MonkeyPatch, role: str, named: dict[str, str], found: str
) -> None:
    """By --set, without an edit."""
    words = [word for key, value in named.items() for word in ("--set", f"cloud.{key}={value}")]
    done = init(here, monkeypatch, role, *words)
    assert done.return_value == Exit.OK, done.output
    cloud = open_profile("mine.toml", ()).cloud
    assert {key: getattr(cloud, key) for key in named} == named
    assert doctor()["builds for"] == found


def test_who_may_not_build_there_gets_no_profile(here: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that would be refused is written without a word."""
    done = init(here, monkeypatch, "user", "--set", "cloud.account=domadmin")
    assert isinstance(done.exception, PreflightError)
    assert "these are a user's keys" in str(done.exception)
    assert not Path("mine.toml").exists()


@pytest.mark.parametrize("settings", [("cloud.project=alpha", "cloud.account=tenant"), ("cloud.domain=ROOT/ops",)])
def test_what_leaves_the_owner_open_is_refused_by_the_profile(settings: tuple[str, ...]) -> None:
    """Before any cloud is asked."""
    with pytest.raises(ValueError, match=r"cloud\.(project and cloud\.account|domain says where)"):
        open_profile("isolated", settings)
