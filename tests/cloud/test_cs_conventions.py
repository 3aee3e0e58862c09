"""Beside cs itself: drawn environments and files, read by both. Each difference is a rule that has a reason."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cs
import pytest

from vrbench.cloud.credentials.credentials import Credentials, find_credentials
from vrbench.cloud.errors import ConfigurationError

SCENES = 600
ENDPOINTS = ("https://a.example.org/client/api", "https://b.example.org/client/api")
SECTIONS = ("cloudstack", "prod", "DEFAULT")
OTHERS = {
    "method": ("get", "POST"),
    "timeout": ("5", "60"),
    "retry": ("0", "3"),
    "retry_backoff": ("0.1", "2"),
    "expiration": ("300", "-1"),
    "dangerous_no_tls_verify": ("true", "no"),
    "trace": ("true",),
    "theme": ("monokai",),
    "poll_interval": ("5",),
    "nonsense": ("x",),
}
# What differs, and why: the words of a refusal of ours, or what we take where cs takes nothing.
RULES = {
    "the key is the file's": "calls are always signed; cs sends them without a key where only the endpoint is set",
    "% is just that": "cs reads no file with a lone percent sign in the section",
    "two endpoints": "a key belongs to the endpoint that it stands beside",
    "there is no such file": "a file that was named is the one that is meant; cs passes over it",
    "sections are": "what was named is not there: cs takes another cloud's, or sends calls without a key",
    "no CloudStack": "calls are always signed",
    "the environment has all": "cs gives up without a file where overrides are named",
}


def values(rng: random.Random, least: float) -> dict[str, str]:
    """Draw settings: those that are needed with a likelihood of their own, and few others."""
    drawn = {name: f"{name}{rng.randrange(3)}" for name in ("key", "secret") if rng.random() < least}
    if rng.random() < least:
        drawn["endpoint"] = rng.choice(ENDPOINTS)
    for name in rng.sample(list(OTHERS), 2):
        drawn[name] = rng.choice(OTHERS[name])
    if rng.random() < 0.05:
        drawn["secret"] = "50%off"
    if rng.random() < 0.1:
        drawn[rng.choice(("endpoint", "key", "secret", "method"))] = ""
    return drawn


def write(rng: random.Random, path: Path) -> None:
    """Write a file of one to three sections, with comments, in any order, or none."""
    lines = []
    for section in rng.sample(SECTIONS, rng.randint(1, 3)):
        lines += [f"[{section}]", "# a comment = none", ""]
        lines += [f"{name} {rng.choice('=:')} {value} " for name, value in values(rng, 0.6).items()]
        lines += [f"header_X-Gate = {section}"] if rng.random() < 0.2 else []
        lines += ["host = c.example.org", "header_Y = at %(host)s"] if rng.random() < 0.1 else []
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def draw(rng: random.Random, here: Path) -> dict[str, str]:
    """Write files, and return the environment."""
    environ = {"HOME": str(here / "home")}
    for path in (here / "home" / ".cloudstack.ini", here / "cloudstack.ini", here / "other.ini"):
        path.unlink(missing_ok=True)
        if rng.random() < 0.5:
            write(rng, path)
    if rng.random() < 0.4:
        environ["CLOUDSTACK_CONFIG"] = rng.choice((str(here / "other.ini"), "other.ini", "~/../other.ini"))
    if rng.random() < 0.3:
        environ["CLOUDSTACK_REGION"] = rng.choice(("prod", "Prod", "cloudstack"))
    if rng.random() < 0.2:
        environ["CLOUDSTACK_OVERRIDES"] = rng.choice(("endpoint", "key,secret", "Key; SECRET", "method", " "))
    if rng.random() < 0.7:
        drawn = values(rng, rng.choice((0.2, 0.9)))
        environ |= {f"CLOUDSTACK_{name.upper()}": value for name, value in drawn.items()}
    return environ


@contextmanager
def stands(here: Path, environ: dict[str, str]) -> Iterator[None]:
    """Let both see this environment and folder; what is set nowhere is sent by POST, as we send it."""
    before = Path.cwd()
    posts = patch.dict(cs.client.DEFAULT_CONFIG, method="post")
    with patch.dict(os.environ, environ, clear=True), posts:
        os.chdir(here)
        try:
            yield
        finally:
            os.chdir(before)


def by_cs() -> dict[str, Any] | str:
    """Return what cs would use, or the kind of what it raises."""
    try:
        config = cs.read_config()
        config.pop("theme", None)  # as its command line does
        client = cs.CloudStack(**config)
    except (Exception, SystemExit) as error:  # noqa: BLE001  whatever it is, it is compared
        return type(error).__name__
    expires = int(client.expiration.total_seconds())
    return {
        "endpoint": client.endpoint,
        "key": client.key,
        "secret": client.secret,
        "method": config["method"].lower(),
        "timeout": float(client.timeout),
        "retry": (client.retry, client.retry_backoff),
        "expires": expires if expires >= 0 else None,
        "verify": client.verify,
        "headers": client.headers,
    }


def by_us() -> Credentials | ConfigurationError:
    try:
        return find_credentials("", os.environ)
    except ConfigurationError as error:
        return error


def taken(ours: Credentials) -> dict[str, Any]:
    """Return what we would use; a timeout that is left out is given as cs's, 10 seconds."""
    manner = ours.manner
    return {
        "endpoint": ours.endpoint,
        "key": ours.key,
        "secret": ours.secret,
        "method": manner.method,
        "timeout": manner.timeout_s or 10.0,
        "retry": (manner.retry, manner.retry_backoff_s),
        "expires": manner.expires_s,
        "verify": ours.verify,
        "headers": dict(manner.headers),
    }


def difference(theirs: dict[str, Any] | str, ours: Credentials | ConfigurationError) -> str:
    """Return by which rule the two differ; '' where they agree."""
    if isinstance(ours, ConfigurationError):
        agree = isinstance(theirs, str) and theirs != "InterpolationSyntaxError"
        rule = next((words for words in RULES if words in str(ours)), f"unknown: {ours}")
        return "" if agree else rule
    if theirs == "InterpolationSyntaxError":
        return "% is just that"
    if theirs == "SystemExit":
        return "the environment has all"
    assert isinstance(theirs, dict), theirs
    seen = taken(ours)
    if theirs["key"] is None or theirs["secret"] is None:
        same = {name for name in ("endpoint", "key", "secret") if theirs[name] in (None, seen[name])}
        return "the key is the file's" if same == {"endpoint", "key", "secret"} else f"unknown: {theirs} {seen}"
    return "" if seen == theirs else f"unknown: {theirs} {seen}"


def test_every_difference_from_cs_is_a_rule(tmp_path: Path) -> None:
    """Nothing else differs, and each rule is met, so that none of them is a dead letter."""
    (tmp_path / "home").mkdir()
    met: Counter[str] = Counter()
    for number in range(SCENES):
        environ = draw(random.Random(number), tmp_path)
        with stands(tmp_path, environ):
            theirs, ours = by_cs(), by_us()
        found = difference(theirs, ours)
        assert not found.startswith("unknown"), f"scene {number}: {found}\n{environ}"
        met[found] += 1
    assert set(met) == {"", *RULES}
    assert met[""] > SCENES / 3


@pytest.mark.parametrize("seed", range(3))
def test_the_same_words_lead_to_the_same_cloud(tmp_path: Path, seed: int) -> None:
    """With an endpoint, a key and a secret in one file, both ask the same, whatever stands beside it."""
    (tmp_path / "home").mkdir()
    full = {"endpoint": ENDPOINTS[0], "key": f"k{seed}", "secret": f"s{seed}"}
    lines = "\n".join(f"{name}={value}" for name, value in full.items())
    (tmp_path / "home" / ".cloudstack.ini").write_text(f"[cloudstack]\n{lines}\n", encoding="utf-8")
    with stands(tmp_path, {"HOME": str(tmp_path / "home")}):
        theirs, ours = by_cs(), by_us()
    assert isinstance(theirs, dict)
    assert isinstance(ours, Credentials)
    assert {name: theirs[name] for name in full} == full == {name: getattr(ours, name) for name in full}
