"""Where the endpoint, the key and the secret come from: the conventions of the ``cs`` command-line client.

Files are read in order and the later one wins, key by key; the section is ``[cloudstack]`` or $CLOUDSTACK_REGION. If
the environment holds endpoint, key and secret, no file is read at all, unless $CLOUDSTACK_OVERRIDES asks for it; else
files win over the environment, except for the keys that $CLOUDSTACK_OVERRIDES names. Since an endpoint in the current
directory is thereby used with the keys of the home directory, the source of every part is always told.
"""

from __future__ import annotations

import configparser
import os
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from vrbench.cloud.errors import ConfigurationError
from vrbench.core.text import visible
from vrbench.core.values import quoted
from vrbench.plain_files import read_plain

MOST_BYTES = 10_000_000  # of a file
_KEYS = ("endpoint", "key", "secret", "verify", "dangerous_no_tls_verify")
_NEEDED = ("endpoint", "key", "secret")
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")  # what this machine trusts, for whatever speaks HTTPS from Python
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


def find_credentials(endpoint: str, environ: Mapping[str, str]) -> Credentials:
    """Find the credentials where this process may have them. Raises ConfigurationError."""
    return load_credentials(endpoint or None, environ, default_files(environ))


def default_files(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files that may hold credentials, in reading order."""
    named = environ.get("CLOUDSTACK_CONFIG", "")
    return tuple(map(_absolute, ("~/.cloudstack.ini", "cloudstack.ini", *((named,) if named else ()))))


def _absolute(name: str) -> Path:
    path = Path(os.path.expanduser(name))
    try:
        return path.absolute()
    except OSError:  # the current directory has been removed
        return path


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
        verify=_verify(found, environ),
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
        values = _read(path, section)
        found |= {name: _Found(values[name], f"{path} [{section}]") for name in _KEYS if values.get(name)}
    return found


def _read(path: Path, section: str) -> Mapping[str, str]:
    """Return what a file's section holds; nothing of a file that is not there."""
    # A secret may hold a percent sign, which configparser would otherwise try to interpolate.
    parser = configparser.ConfigParser(interpolation=None)
    problem = ""
    try:
        parser.read_string(read_plain(path, MOST_BYTES).decode("utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except configparser.Error as error:
        # The parser's own text quotes the line, which may be the one with the secret.
        problem = f"{path}: not a readable ini file ({type(error).__name__}); see the format of cloudstack.ini"
    except UnicodeDecodeError:
        problem = f"{path}: can't be read: it is not UTF-8 text; check its encoding"
    except OSError as error:
        problem = f"{path}: can't be read: {error.strerror}; check its permissions, or name another file"
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
    for name in _NEEDED:
        _check_characters(name, found[name])
    _check_endpoint(found["endpoint"])


def _check_characters(name: str, found: _Found) -> None:
    """Refuse what was damaged when it was copied; the value is not shown, for it may be the secret."""
    if visible(found.value) != found.value or any(c.isspace() for c in found.value):
        raise ConfigurationError(
            f"the {name} from {found.source} holds a space, a line break or a character that can't be seen: "
            "copy it again, as one word"
        )


def _check_endpoint(found: _Found) -> None:
    """Refuse what is no plain http(s) address; what of it may be a password or a key is not shown."""
    reason = _not_an_address(found.value)
    if reason:
        scheme, slashes, rest = found.value.partition("://")
        harmless = scheme + slashes + re.split(r"[?#]", rest.rpartition("@")[2])[0]
        shown = f" {quoted(harmless)}" if slashes else ""
        raise ConfigurationError(
            f"the endpoint{shown} from {found.source} {reason}: it looks like https://cloud.example.org/client/api"
        )


def _not_an_address(endpoint: str) -> str:
    """Return what is wrong with an endpoint; '' when nothing is."""
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname, parts.port
    except ValueError:  # of an address in brackets, or of a port that is none
        return "has no valid host and port"
    if parts.scheme not in ("http", "https"):
        return "is no http(s) address"
    if not host or port == 0 or not _may_be_host(host):
        return "has no valid host and port"
    if "@" in parts.netloc:
        return "holds a user's name, which CloudStack has no use for"
    if parts.query or parts.fragment:
        return "holds more than an address"
    return "" if len(endpoint) <= 2000 else "is longer than any address"


def _may_be_host(host: str) -> bool:
    """Return whether it can be looked up at all."""
    try:
        return bool(host.encode("idna")) and not set(host) & set("%\\<>^`{|}")
    except UnicodeError:
        return False


def _verify(found: Mapping[str, _Found], environ: Mapping[str, str]) -> bool | str:
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
        return _bundle("verify", bundle)
    if off is not None and off.value.lower() in _TRUE:
        return False
    named = next((name for name in _BUNDLES if environ.get(name)), "")
    return _bundle(named, _Found(environ[named], "the environment")) if named else True


def _bundle(name: str, found: _Found) -> str:
    """Return the path of certificates to trust, which must be there. Raises ConfigurationError."""
    path = os.path.expanduser(found.value)
    try:
        if os.path.isdir(path):
            return path
        read_plain(Path(path), MOST_BYTES)
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError as error:  # an SSLError is one
        reason = "no certificates are in it" if isinstance(error, ssl.SSLError) else error.strerror
    else:
        return path
    raise ConfigurationError(
        f"{name} = {quoted(found.value)} from {found.source}: {reason}; name a file of certificates (PEM), or leave it "
        "out"
    )
