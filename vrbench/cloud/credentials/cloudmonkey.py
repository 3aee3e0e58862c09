"""Profiles of CloudMonkey: of ``~/.cmk/config``, and of the older ``~/.cloudmonkey/config``."""

from __future__ import annotations

from dataclasses import replace

from vrbench.cloud.credentials.ini import IniFile
from vrbench.cloud.credentials.settings import Shape
from vrbench.cloud.credentials.written import Written, tidied
from vrbench.cloud.errors import ConfigurationError
from vrbench.core.suggest import did_you_mean
from vrbench.core.text import few
from vrbench.core.values import quoted

FILES = ("~/.cmk/config", "~/.cloudmonkey/config")
# Its names, and those of cs for the same; how long it waits for a job has another name there.
_NAMES = {
    "url": "endpoint",
    "apikey": "key",
    "secretkey": "secret",
    "verifysslcert": "verify",
    "verifycert": "verify",
    "timeout": "job_timeout",
}
_HEADS = ("", "core", "ui")  # no profiles: the newer file has its own settings above the first header
_USUAL = "localcloud"


def is_cloudmonkey(file: IniFile) -> bool:
    """Return whether a file is CloudMonkey's and not cs's, by its names."""
    names = {line.name for line in file.lines}
    return bool(names & {"apikey", "secretkey"} or {"url", "username"} <= names) and "endpoint" not in names


def read_profile(file: IniFile, asked: str) -> dict[str, Written]:
    """Return the settings of the profile asked for, else of its current one, under cs's names.

    Raises ConfigurationError where there is none, and where it has no keys.
    """
    core = {line.name: line.written.value for head in _HEADS for line in file.named(head)}
    name = asked or core.get("profile", "") or _USUAL
    profiles = [section for section in file.sections if section not in _HEADS]
    if name not in profiles:
        there = f"there are {few([quoted(p) for p in profiles])}" if profiles else "there are none"
        near = did_you_mean(name, profiles) if profiles else "make one with cmk"
        raise ConfigurationError(f"{file.path} has no CloudMonkey profile {quoted(name)}; {there}", near)
    found: dict[str, Written] = {}
    for section in ("core", "", name):
        for line in file.named(section):
            if line.name in _NAMES:
                its = " (its timeout)" if line.name == "timeout" else ""
                source = f"{file.path} [{name}]{its}"
                tidy = tidied(line.name, replace(line.written, source=source), Shape.WORD)
                found[_NAMES[line.name]] = tidy
    return _checked(file, name, {key: written for key, written in found.items() if written.value})


def _checked(file: IniFile, name: str, found: dict[str, Written]) -> dict[str, Written]:
    where = f"the CloudMonkey profile {quoted(name)} of {file.path}"
    if "key" not in found or "secret" not in found:
        cure = f"make keys for that user, then: cmk -p {name} set apikey …, and secretkey"
        raise ConfigurationError(f"{where} has no apikey and secretkey, and a password is not taken", cure)
    if "endpoint" not in found:
        raise ConfigurationError(f"{where} has no url", f"cmk -p {name} set url …")
    return found
