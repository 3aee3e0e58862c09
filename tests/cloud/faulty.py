"""A way to the lab's API that spoils one call, or all calls of one command, each in one way."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.cloud.server import Request, fake_cloud, reset
from vrbench.cloud.api.facade import Cloud
from vrbench.cloud.credentials.credentials import Credentials

Passed = Callable[[], tuple[int, str]]  # has the lab carry the call out; returns its answer
Fault = Callable[[Request, Passed], None]


def busy(request: Request, _: Passed) -> None:
    """Refuse with CloudStack's own 503."""
    command = request.params["command"].lower()
    request.answer(json.dumps({f"{command}response": {"errorcode": 503, "errortext": "shutting down"}}), 503)


def gateway(request: Request, _: Passed) -> None:
    """Show a proxy's page."""
    request.answer("<html>Service Unavailable</html>", 503, "text/html")


def torn(request: Request, _: Passed) -> None:
    """Tear the connection down before the call is carried out."""
    reset(request)


def lost(request: Request, passed: Passed) -> None:
    """Carry the call out, and tear the connection down."""
    passed()
    reset(request)


def foreign(request: Request, _: Passed) -> None:
    """Answer with HTTP 200 and something that is not CloudStack's."""
    request.answer('{"error":{"code":503}}')


def swallowed(request: Request, passed: Passed) -> None:
    """Carry the call out, and answer with something that is not CloudStack's."""
    passed()
    request.answer('{"error":{"code":503}}')


FAULTS = (busy, gateway, torn, lost, foreign, swallowed)


@dataclass
class Way:
    """The way to a lab; ``spoil`` decides for each call, by its number from 0 and its command, what befalls it."""

    target: str
    spoil: Callable[[int, str], Fault | None] = lambda _number, _command: None
    calls: list[str] = field(default_factory=list)
    endpoint: str = ""
    patience_s: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def cloud(self, through: Cloud) -> Cloud:
        """Return the same caller, coming this way."""
        asks = through._credentials
        return Cloud(Credentials(self.endpoint, asks.key, asks.secret), patience_s=self.patience_s)

    def behave(self, request: Request) -> None:
        with self._lock:
            number = len(self.calls)
            self.calls.append(request.params["command"])
        fault = self.spoil(number, request.params["command"])
        if fault is None:
            status, body = self._pass(request)
            request.answer(body, status)
        else:
            fault(request, lambda: self._pass(request))

    def _pass(self, request: Request) -> tuple[int, str]:
        where = urlsplit(self.target)
        assert where.hostname
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=60)
        try:
            connection.request("POST", where.path, request.form, {"Content-Type": "application/x-www-form-urlencoded"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()


@contextmanager
def way_to(endpoint: str) -> Iterator[Way]:
    way = Way(endpoint)
    with fake_cloud(way.behave) as fake:
        way.endpoint = fake.endpoint
        yield way
