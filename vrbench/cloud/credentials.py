"""Where the endpoint, the key and the secret come from: the conventions of the ``cs`` command-line client.

Files are read in order and the later one wins, key by key; the section is ``[cloudstack]`` or $CLOUDSTACK_REGION. If
the environment holds endpoint, key and secret, no file is read at all, unless $CLOUDSTACK_OVERRIDES asks for it; else
files win over the environment, except for the keys that $CLOUDSTACK_OVERRIDES names. Since an endpoint in the current
directory is thereby used with the keys of the home directory, the source of every part is always told.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vrbench.cloud.errors import ConfigurationError

_KEYS = ("endpoint", "key", "secret", "verify", "dangerous_no_tls_verify")
_NEEDED = ("endpoint", "key", "secret")
_TRUE = ("y", "yes", "t", "true", "on", "1")
_FALSE = ("n", "no", "f", "false", "off", "0")


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who asks whom. ``verify`` is what TLS certificates are checked against: True, a bundle's path, or False."""

    endpoint: str
    key: str = field(repr=False)
    secret: str = field(repr=False)
    verify: bool | str = True
    source: str = ""  # where each part was found, for people


@dataclass(frozen=True, slots=True)
class _Found:
    value: str = field(repr=False)
    source: str


def default_files(environ: Mapping[str, str], home: Path, cwd: Path) -> tuple[Path, ...]:
    """Return the files that may hold credentials, in reading order."""
    named = environ.get("CLOUDSTACK_CONFIG", "")
    last = (Path(named).expanduser(),) if named else ()
    return (home / ".cloudstack.ini", cwd / "cloudstack.ini", *last)


def load_credentials(endpoint: str | None, environ: Mapping[str, str], files: Sequence[Path]) -> Credentials:
    """Find the credentials; ``endpoint``, where the profile gives one, wins over all. Raises ConfigurationError."""
    found = _from_environment(environ)
    overrides = {word.lower() for word in re.split(r"\W+", environ.get("CLOUDSTACK_OVERRIDES", "")) if word}
    if overrides or not all(name in found for name in _NEEDED):
        kept = {name: found[name] for name in found if name in overrides}
        found = found | _from_files(files, environ.get("CLOUDSTACK_REGION") or "cloudstack") | kept
    if endpoint:
        found["endpoint"] = _Found(endpoint, "the profile")
    _require(found, files)
    return Credentials(
        endpoint=found["endpoint"].value,
        key=found["key"].value,
        secret=found["secret"].value,
        verify=_verify(found),
        source=_sources({name: found[name].source for name in _NEEDED}),
    )


def _sources(sources: Mapping[str, str]) -> str:
    """Say where the parts come from: "all from X", or each with its own source."""
    if len(set(sources.values())) == 1:
        return f"all from {next(iter(sources.values()))}"
    return ", ".join(f"{name} from {source}" for name, source in sources.items())


def _from_environment(environ: Mapping[str, str]) -> dict[str, _Found]:
    names = {name: f"CLOUDSTACK_{name.upper()}" for name in _KEYS}
    return {name: _Found(environ[var], f"${var}") for name, var in names.items() if environ.get(var)}


def _from_files(files: Sequence[Path], section: str) -> dict[str, _Found]:
    found: dict[str, _Found] = {}
    for path in files:
        if path.is_file():
            values = _read(path, section)
            found |= {name: _Found(values[name], f"{path} [{section}]") for name in _KEYS if values.get(name)}
    return found


def _read(path: Path, section: str) -> Mapping[str, str]:
    # A secret may hold a percent sign, which configparser would otherwise try to interpolate.
    parser = configparser.ConfigParser(interpolation=None)
    problem = ""
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except configparser.Error as error:
        # The parser's own text quotes the line, which may be the one with the secret.
        problem = f"{path}: not a readable ini file ({type(error).__name__}); see the format of cloudstack.ini"
    except (OSError, UnicodeDecodeError) as error:
        problem = f"{path}: can't be read: {error.__class__.__name__}; check its permissions and its encoding"
    if problem:
        raise ConfigurationError(problem)
    return dict(parser.items(section)) if parser.has_section(section) else {}


def _require(found: Mapping[str, _Found], files: Sequence[Path]) -> None:
    missing = [name for name in _NEEDED if name not in found]
    if missing:
        looked = ", ".join(str(path) for path in files) or "no file"
        raise ConfigurationError(
            f"no CloudStack {', '.join(missing)} found: set "
            f"{', '.join(f'CLOUDSTACK_{name.upper()}' for name in missing)}, or put them into the [cloudstack] section "
            f"of a cloudstack.ini (looked at: the environment, {looked})"
        )
    if not found["endpoint"].value.startswith(("http://", "https://")):
        raise ConfigurationError(
            f"the endpoint {found['endpoint'].value!r} from {found['endpoint'].source} is no http(s) address: "
            "it looks like https://cloud.example.org/client/api"
        )


def _verify(found: Mapping[str, _Found]) -> bool | str:
    """Switch TLS verification off only when asked for in so many words; cs itself takes the string "false" for true."""
    off = found.get("dangerous_no_tls_verify")
    if off is not None and off.value.lower() not in _TRUE + _FALSE:
        raise ConfigurationError(f"dangerous_no_tls_verify from {off.source} must be true or false")
    bundle = found.get("verify")
    if bundle is not None and bundle.value.lower() in _FALSE:
        raise ConfigurationError(
            f"verify = {bundle.value} from {bundle.source}: to switch TLS verification off, "
            "say dangerous_no_tls_verify = true"
        )
    if bundle is not None and bundle.value.lower() not in _TRUE:
        return bundle.value
    return off is None or off.value.lower() not in _TRUE
