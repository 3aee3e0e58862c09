"""What TLS certificates are checked against, and the certificate that the client shows: files that must be there."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from pathlib import Path

from vrbench.cloud.credentials.written import Written
from vrbench.cloud.errors import ConfigurationError
from vrbench.core.values import quoted
from vrbench.plain_files import read_plain

MOST_BYTES = 10_000_000  # of a file
TRUE = ("y", "yes", "t", "true", "on", "1")
FALSE = ("n", "no", "f", "false", "off", "0")
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")  # what this machine trusts, for whatever speaks HTTPS from Python
_BY_HASH = re.compile(r"[0-9a-f]{8}\.[0-9]+")
ClientCertificate = str | tuple[str, str] | None


def verify_of(found: Mapping[str, Written], environ: Mapping[str, str]) -> bool | str:
    """Return what certificates are checked against: True, a path, or False. Raises ConfigurationError.

    The check is switched off only where that is asked for in so many words.
    """
    dangerous, bundle = found.get("dangerous_no_tls_verify"), found.get("verify")
    off = dangerous is not None and flag_of("dangerous_no_tls_verify", dangerous)
    word = bundle.value.lower() if bundle else ""
    if bundle and dangerous and (word in FALSE, word in TRUE) == (not off, off):
        raise ConfigurationError(
            f"verify = {bundle.value} from {bundle.source} and dangerous_no_tls_verify = {dangerous.value} from "
            f"{dangerous.source} contradict each other",
            "leave one out",
        )
    if bundle and word not in TRUE + FALSE:
        return _bundle("verify", bundle)
    if off or word in FALSE:
        return False
    named = next((name for name in _BUNDLES if environ.get(name)), "")
    return _bundle(named, Written(environ[named], "the environment")) if named else True


def flag_of(name: str, written: Written) -> bool:
    """Read true or false, in the words that cs takes. Raises ConfigurationError."""
    if written.value.lower() not in TRUE + FALSE:
        raise ConfigurationError(f"{name} from {written.source} is neither true nor false", "write true or false")
    return written.value.lower() in TRUE


def certificate_of(found: Mapping[str, Written]) -> ClientCertificate:
    """Return the client's certificate, or the files of certificate and key. Raises ConfigurationError."""
    cert, key = found.get("cert"), found.get("cert_key")
    if cert is None:
        if key is None:
            return None
        raise ConfigurationError(f"cert_key from {key.source} has no cert beside it", "name the certificate as cert")
    paths = [os.path.expanduser(written.value) for written in (cert, key) if written]
    for name, written, path in zip(("cert", "cert_key"), filter(None, (cert, key)), paths, strict=False):
        _readable(name, written, path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(paths[0], paths[1] if key else None, _no_password)
    except _Encrypted:
        reason, cure = "its key is encrypted, and nobody is there to be asked for the words", "name a key without"
    except (ssl.SSLError, OSError, ValueError):
        reason, cure = "no certificate and key that belong together are there", "name PEM files; cert_key for the key"
    else:
        return (paths[0], paths[1]) if key else paths[0]
    raise ConfigurationError(f"cert = {quoted(cert.value)} from {cert.source}: {reason}", cure)


class _Encrypted(Exception):
    """The key wants a password."""


def _no_password() -> str:
    raise _Encrypted


def _readable(name: str, written: Written, path: str) -> None:
    problem = ""
    try:
        read_plain(Path(path), MOST_BYTES)
    except OSError as error:
        problem = error.strerror or "it can't be read"
    if problem:
        raise ConfigurationError(
            f"{name} = {quoted(written.value)} from {written.source}: {problem}", "name a file (PEM), or leave it out"
        )


def _bundle(name: str, found: Written) -> str:
    """Return the path of certificates to trust, which must be there. Raises ConfigurationError."""
    path = os.path.expanduser(found.value)
    try:
        if os.path.isdir(path):
            return _folder(name, found, path)
        read_plain(Path(path), MOST_BYTES)
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError as error:  # an SSLError is one
        reason = "no certificates are in it" if isinstance(error, ssl.SSLError) else error.strerror
    else:
        return path
    raise ConfigurationError(
        f"{name} = {quoted(found.value)} from {found.source}: {reason}",
        "name a file or folder of certificates (PEM), or leave it out",
    )


def _folder(name: str, found: Written, path: str) -> str:
    """Return a folder in which OpenSSL finds certificates: by names that it makes of what they say."""
    if any(_BY_HASH.fullmatch(entry) for entry in os.listdir(path)):
        return path
    raise ConfigurationError(
        f"{name} = {quoted(found.value)} from {found.source}: no certificate in this folder can be found, as none has "
        "its hash for a name",
        f"run openssl rehash {path}, or name one file",
    )
