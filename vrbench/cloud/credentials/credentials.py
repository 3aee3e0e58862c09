"""Where the endpoint, the key and the secret come from, and all else that says how they are used: cs's conventions.

``sources`` decides which place wins, ``settings`` lists what can be set. Since an endpoint in the current directory may
be used with the keys of the home directory, the source of every part is always told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vrbench.cloud.credentials.cloudmonkey import FILES as CLOUDMONKEYS
from vrbench.cloud.credentials.endpoints import check_endpoint, harmless, same_endpoint
from vrbench.cloud.credentials.proxies import Proxy, acting_proxy
from vrbench.cloud.credentials.settings import HEADER, NEEDED, PREFIX, SETTINGS, nearest_variable
from vrbench.cloud.credentials.sources import (
    Found,
    Gathered,
    SettingPlaces,
    absolute,
    gather,
    in_home,
    looked_at,
    of_other_tools,
)
from vrbench.cloud.credentials.tls_files import ClientCertificate, certificate_of, verify_of
from vrbench.cloud.credentials.written import QUOTES, Written, check_ascii, check_word, holds_odd
from vrbench.cloud.errors import ConfigurationError
from vrbench.core.findings import Finding, FindingState
from vrbench.core.text import character, listed
from vrbench.core.values import shortened

PROFILE = "the profile"
LONGEST_S = 86_400
EXPIRES_S = 600  # servers may refuse signatures that last longer than 15 minutes
_ODD_IN_KEYS = re.compile(r"[^A-Za-z0-9_+/=.~-]")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_OURS = ("host", "content-length", "content-type", "transfer-encoding", "connection")


@dataclass(frozen=True, slots=True)
class Manner:
    """How calls are sent, where the operator said so; ``expires_s`` None: a signature holds for ever."""

    method: str = "post"
    timeout_s: float | None = None  # of a call that only looks
    retry: int = 0
    retry_backoff_s: float = 0.5
    expires_s: int | None = EXPIRES_S
    cert: ClientCertificate = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # one may be a gateway's own key


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who asks whom, and how. ``verify`` is what TLS certificates are checked against: True, a path, or False."""

    endpoint: str
    key: str = field(repr=False)
    secret: str = field(repr=False)
    verify: bool | str = True
    source: str = ""  # where each part was found, for people
    manner: Manner = Manner()
    notes: tuple[str, ...] = ()  # what the operator wrote and should know how it was taken
    proxy: Proxy | None = None  # by which it is asked; None where the way is direct

    @property
    def unchecked(self) -> bool:
        """Whether nobody checks who answers: TLS is spoken, and its certificates are taken as they come."""
        return self.verify is False and self.endpoint.lower().startswith("https:")

    def findings(self) -> Iterator[Finding]:
        """Yield what a check and a run tell of them."""
        yield Finding("credentials", FindingState.OK, self.source)
        for note in self.notes:
            yield Finding("credentials", FindingState.WARN, note)


def find_credentials(endpoint: str, environ: Mapping[str, str], named_by: str = PROFILE) -> Credentials:
    """Find the credentials where this process may have them. Raises ConfigurationError.

    ``named_by``: who names the endpoint, where one is given.
    """
    monkeys = tuple(map(absolute, in_home(CLOUDMONKEYS)))
    asked = Written(endpoint, named_by) if endpoint else None
    found = _credentials(asked, SettingPlaces(environ, default_files(environ), monkeys))
    return replace(found, proxy=acting_proxy(found.endpoint))


def default_files(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files that may hold credentials, in reading order."""
    named = SettingPlaces(environ, ()).word("CLOUDSTACK_CONFIG")
    homes = map(absolute, in_home(("~/.cloudstack.ini",)))
    return (*homes, absolute("cloudstack.ini"), *((absolute(named),) if named else ()))


def load_credentials(endpoint: str | None, environ: Mapping[str, str], files: Sequence[Path]) -> Credentials:
    """Find the credentials; ``endpoint``, where the profile gives one, wins over all. Raises ConfigurationError."""
    return _credentials(Written(endpoint, PROFILE) if endpoint else None, SettingPlaces(environ, files))


def _credentials(endpoint: Written | None, places: SettingPlaces) -> Credentials:
    gathered = gather(places)
    found = dict(gathered.found)
    asked = found.get("endpoint")
    if endpoint:
        found["endpoint"] = endpoint
    _require(found, places, gathered.hints)
    return Credentials(
        endpoint=found["endpoint"].value,
        key=found["key"].value,
        secret=found["secret"].value,
        verify=verify_of(found, places.environ),
        source=_sources({name: found[name].source for name in NEEDED}),
        manner=_manner(found),
        notes=tuple(_notes(found, gathered, places, asked)),
    )


def _sources(sources: Mapping[str, str]) -> str:
    """Say where the parts come from: "all from X", or each with its own source."""
    if len(set(sources.values())) == 1:
        return f"all from {next(iter(sources.values()))}"
    return ", ".join(f"{name} from {source}" for name, source in sources.items())


def _require(found: Found, places: SettingPlaces, hints: Sequence[str]) -> None:
    missing = [name for name in NEEDED if name not in found]
    if missing:
        instead = of_other_tools(places.environ, missing) + "".join(f"; {hint}" for hint in hints)
        raise ConfigurationError(
            f"no CloudStack {', '.join(missing)} found",
            f"set {', '.join(f'{PREFIX}{name.upper()}' for name in missing)}, or put them into the [cloudstack] "
            f"section of a cloudstack.ini (looked at: {looked_at(places)}{instead})",
        )
    check_endpoint(found["endpoint"])
    for name in ("key", "secret"):
        check_word(name, found[name])
        check_ascii(name, found[name])


def _manner(found: Found) -> Manner:
    usual = Manner()
    method = found["method"].value.lower() if "method" in found else usual.method
    if method not in ("get", "post"):
        raise ConfigurationError(f"method from {found['method'].source} is neither get nor post", "write one of them")
    timeout = _number(found, "timeout", (1, LONGEST_S))
    retry = _number(found, "retry", (0, 1000))
    backoff = _number(found, "retry_backoff", (0, LONGEST_S), whole=False)
    expires = _number(found, "expiration", (-LONGEST_S * 365, LONGEST_S * 365))
    return Manner(
        method=method,
        timeout_s=timeout,
        retry=int(retry or 0),
        retry_backoff_s=usual.retry_backoff_s if backoff is None else backoff,
        expires_s=usual.expires_s if expires is None else int(expires) if expires >= 0 else None,
        cert=certificate_of(found),
        headers=dict(_headers(found)),
    )


def _number(found: Found, name: str, limits: tuple[int, int], whole: bool = True) -> float | None:
    """Read a number of plain digits within limits. Raises ConfigurationError."""
    if name not in found:
        return None
    text, (low, high) = found[name].value, limits
    digits = r"[+-]?\d{1,12}" if whole else r"\+?\d{0,12}\.?\d{0,12}"
    if re.fullmatch(digits, text, re.ASCII) and re.search(r"\d", text) and low <= float(text) <= high:
        return float(text)
    kind = "a whole number" if whole else "a number"
    raise ConfigurationError(f"{name} from {found[name].source} is not {kind} from {low} to {high}", "write one")


def _headers(found: Found) -> Iterator[tuple[str, str]]:
    """Yield the headers that go with every call. Raises ConfigurationError for what no server would read."""
    for name, written in found.items():
        if not name.startswith(HEADER):
            continue
        header = name.removeprefix(HEADER)
        if not _TOKEN.fullmatch(header) or header in _OURS:
            raise ConfigurationError(f"{shortened(name)} from {written.source} can't be sent", "leave it out")
        for index, odd in enumerate(written.value):
            if not (" " <= odd <= "~" or odd == "\t"):
                raise holds_odd(shortened(name), written, index)
        yield header, written.value


def _notes(found: Found, gathered: Gathered, places: SettingPlaces, asked: Written | None) -> Iterator[str]:
    """Yield, each as one sentence, what was taken otherwise than it was written."""
    if asked and not same_endpoint(asked.value, found["endpoint"].value):
        passed_over, key = f"{harmless(asked.value)} from {asked.source}", found["key"]
        yield f"{found['endpoint'].source}'s endpoint is asked, not {passed_over}; the key is from {key.source}"
    if gathered.elsewhere:
        yield gathered.elsewhere
    for name, written in found.items():
        if name in ("key", "secret") and (odd := _ODD_IN_KEYS.search(written.value)):
            yield f"the {name} from {written.source} holds {character(odd[0])}, which CloudStack's own never do"
        if name.startswith(HEADER) and set(written.value) & set(QUOTES):
            yield f"{name} from {written.source} is sent with its quotes"
    yield from _left_out(found)
    if gathered.lost:
        yield f"not used, as the files win: {listed([w.source for w in gathered.lost])}; see CLOUDSTACK_OVERRIDES"
    if gathered.unread:
        yield f"not read, as the environment gives all: {listed(gathered.unread)}"
    if verify_of(found, places.environ) is False and found["endpoint"].value.lower().startswith("https:"):
        off = found.get("verify") or found["dangerous_no_tls_verify"]
        yield f"TLS certificates are not checked, as {off.source} asks for: anybody on the way can pass for the cloud"
    ignored = [*_not_honoured(found), *_misspelled(places.environ)]
    if ignored:
        yield f"not honoured: {'; '.join(ignored)}"


def _left_out(found: Found) -> Iterator[str]:
    """Yield what was written beside values, once for all of one place that have the same."""
    alike: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for name, written in found.items():
        if written.left_out:
            alike.setdefault((written.source, written.left_out), []).append(name)
    for (source, left_out), names in alike.items():
        who = "each of" if len(names) > 1 else "the"
        yield f"{who} {listed(names)} from {source} {listed(left_out)}: that is left out"


def _not_honoured(found: Found) -> Iterator[str]:
    for setting in SETTINGS:
        if setting.not_honoured and setting.name in found:
            yield f"{setting.name} from {found[setting.name].source} ({setting.not_honoured})"
    if found.get("verify") and "dangerous_no_tls_verify" in found:
        yield "dangerous_no_tls_verify (verify goes before it)"


def _misspelled(environ: Mapping[str, str]) -> Iterator[str]:
    for variable in sorted(environ):
        if variable.startswith(PREFIX + "HEADER_"):
            yield f"${shortened(variable)} (headers are read from files only, as header_…)"
        elif variable.startswith(PREFIX) and environ[variable] and (near := nearest_variable(variable)):
            yield f"${shortened(variable)} (did you mean {near}?)"
