"""Logging in to a guest with the run's own keys alone, and the words for all that can stand in the way."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import paramiko

from vrbench.remote.errors import LoginRefused, NoAnswer, RemoteError
from vrbench.remote.identity import Address, Identity
from vrbench.remote.keys import kind_of
from vrbench.remote.refusals import RefusedLogin, algorithms_of, not_in_common


def logged_in(sock: socket.socket, address: Address, identity: Identity, timeout_s: float) -> paramiko.Transport:
    """Make ``sock`` a transport that is logged in; each step may take ``timeout_s``."""
    keys = [(file, _load_key(file)) for file in identity.ring.files()]
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    transport = paramiko.Transport(sock)
    try:
        transport.banner_timeout = transport.auth_timeout = transport.handshake_timeout = timeout_s
        transport.channel_timeout = timeout_s
        _shake_hands(transport, identity.at(address), timeout_s)
        shown = transport.get_remote_server_key()
        identity.pins.check(*address, shown.get_name(), shown.asbytes())
        _Offers(transport, identity, timeout_s).make(keys)
        # Not before: early in a first boot sshd may show the template's key, and makes its own later.
        identity.pins.keep(*address, shown.get_name(), shown.asbytes())
    except BaseException:
        transport.close()
        raise
    return transport


def _shake_hands(transport: paramiko.Transport, name: str, timeout_s: float) -> None:
    try:
        transport.start_client(timeout=timeout_s)
    except paramiko.ssh_exception.IncompatiblePeer as error:
        raise RemoteError(f"{name}: {not_in_common(transport.remote_version, str(error))}") from error
    if not transport.initial_kex_done:
        raise TimeoutError


@dataclass
class _Offers:
    """The keys that are offered over one connection, and what became of them."""

    transport: paramiko.Transport
    identity: Identity
    timeout_s: float
    refused: list[Path] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)

    def make(self, keys: list[tuple[Path, paramiko.PKey]]) -> None:
        """Offer one key after another, until sshd takes one. Raises LoginRefused when it takes none."""
        told = getattr(self.transport, "server_extensions", {}).get("server-sig-algs", b"").decode(errors="replace")
        takes = tuple(filter(None, told.split(",")))
        for file, key in keys:
            for algorithm in algorithms_of(kind_of(key.get_name())):
                # What it says not to take is not even tried: sshd counts how often we try.
                if (not takes or algorithm in takes) and self._is_taken(file, key, algorithm):
                    self.identity.ring.took(file)
                    return
        raise self._refusal(algorithms=takes)

    def _is_taken(self, file: Path, key: paramiko.PKey, algorithm: str) -> bool:
        begun = time.monotonic()
        others = [other for other in algorithms_of(kind_of(key.get_name())) if other != algorithm]
        self.transport.disabled_algorithms = {"pubkeys": others}
        try:
            missing = self.transport.auth_publickey(self.identity.user, key)
        except paramiko.BadAuthenticationType as error:
            raise self._refusal(methods=tuple(error.allowed_types)) from error
        except paramiko.AuthenticationException as error:  # paramiko's word for silence and lost connections, too
            if time.monotonic() - begun >= self.timeout_s:
                raise TimeoutError from error
            self.kinds.append(kind_of(key.get_name()))
            self.refused.append(file)
            if self.transport.is_active():
                return False
            self.identity.ring.put_back(self.refused)
            if len(self.refused) > 1:
                raise self._refusal(hung_up=True) from error
            raise ConnectionResetError("connection lost during the login") from error
        if missing:
            raise self._refusal(missing=tuple(missing))
        return True

    def _refusal(self, **seen: tuple[str, ...] | bool) -> LoginRefused:
        handler = self.transport.auth_handler
        banner = (getattr(handler, "banner", None) or b"").decode(errors="replace")
        return LoginRefused(RefusedLogin(offered=tuple(self.kinds), banner=banner, **seen).words)  # type: ignore[arg-type]


def _load_key(path: Path) -> paramiko.PKey:
    try:
        return paramiko.PKey.from_path(path)
    except (OSError, ValueError, paramiko.SSHException, paramiko.pkey.UnknownKeyType) as error:
        raise RemoteError(f"can't use the private key {path}: {error}; it must exist and have no passphrase") from error


@contextmanager
def blamed(name: str) -> Iterator[None]:
    """Turn whatever a connection raises into a RemoteError that names it and says what to do."""
    try:
        yield
    except LoginRefused as error:
        raise LoginRefused(f"{name}: {error}") from error
    except RemoteError:
        raise
    except TimeoutError as error:
        raise NoAnswer(f"{name}: no answer in time: is the path up and the guest alive?") from error
    except paramiko.ChannelException as error:
        raise RemoteError(
            f"{name}: sshd opens no session: {error.text}. Set MaxSessions 10 in the template's sshd_config, or choose "
            "another template"
        ) from error
    except (OSError, EOFError, paramiko.SSHException) as error:
        reason = str(error) or type(error).__name__
        raise RemoteError(
            f"{name}: {reason}: are address, firewall rule and the guest's sshd as they should be?"
        ) from error
