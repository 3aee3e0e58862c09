"""One answer, whole, in one time and one size: whatever a server does with its bytes, a call ends and says why."""

from __future__ import annotations

import gc
import gzip
import json
import random
import tracemalloc
import zlib

import pytest

from tests.cloud.lab import Lab
from tests.cloud.server import Behaviour, Request, drips, fake_cloud, raw, reset
from vrbench.cloud import errors
from vrbench.cloud.api import transport
from vrbench.cloud.api.facade import Cloud

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
ANSWER = b'{"listzonesresponse": {}}'
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def sized(body: bytes, *headers: bytes) -> bytes:
    return b"".join((HEAD, *(h + b"\r\n" for h in headers), b"Content-Length: %d\r\n\r\n" % len(body), body))


def packed(body: bytes, encoding: bytes = b"gzip") -> bytes:
    return sized(body, b"Content-Encoding: " + encoding)


def failure(behaviour: Behaviour, command: str = "listZones", timeout_s: float = 60.0) -> errors.CloudUnreachable:
    with fake_cloud(behaviour) as fake, pytest.raises(errors.CloudUnreachable) as caught:
        Cloud(fake.credentials(), timeout_s, timeout_s).call(command)
    assert str(caught.value).startswith(f"{command}: ")
    return caught.value


@pytest.mark.parametrize(
    "behaviour",
    [
        drips(HEAD + b"Content-Length: 525\r\n\r\n", b" ", ANSWER),
        drips(HEAD + b"X-", b"a", b": b\r\nContent-Length: 25\r\n\r\n" + ANSWER),
        drips(CHUNKED, b"1\r\n \r\n", b"19\r\n" + ANSWER + b"\r\n0\r\n\r\n"),
        drips(CHUNKED + b"19", b" ", b"\r\n" + ANSWER + b"\r\n0\r\n\r\n"),
        drips(HEAD + b"\r\n", b" ", ANSWER),
        drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n", sized(ANSWER)),
    ],
    ids=["body", "header", "chunks", "chunk size", "no length", "continue"],
)
def test_an_answer_that_drips_ends_with_the_calls_time(behaviour: Behaviour) -> None:
    """A byte now and then would be within the limit of each read, and hold a run for ever."""
    error = failure(behaviour, "createNetwork", timeout_s=0.3)
    assert "it took too long: no whole answer within 0.3 s. It may have been carried out" in str(error)


def test_what_unpacks_without_end_is_given_up_in_little_memory() -> None:
    """Three MB that would be three GB."""
    pack = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    head = pack.compress(b"") + pack.flush(zlib.Z_FULL_FLUSH)
    megabyte = pack.compress(bytes(1 << 20)) + pack.flush(zlib.Z_FULL_FLUSH)
    bomb = packed(head + megabyte * 3000)
    tracemalloc.start()
    try:
        error = failure(raw(bomb), "createNetwork")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "its packed answer unpacks to more than 300 times its size. It may have been carried out" in str(error)
    assert isinstance(error, errors.NotCloudStack)
    assert peak < 16 << 20


@pytest.mark.parametrize(
    "data",
    [
        sized(b" " * (1 << 18) + ANSWER),
        HEAD + b"\r\n" + b" " * (1 << 18) + ANSWER,
        CHUNKED + b"40000\r\n" + b" " * (1 << 18) + b"\r\n19\r\n" + ANSWER + b"\r\n0\r\n\r\n",
        CHUNKED + b"1\r\n \r\n" * 60_000 + b"19\r\n" + ANSWER + b"\r\n0\r\n\r\n",
        packed(gzip.compress(json.dumps({"listzonesresponse": {"x": [*range(60_000)]}}).encode())),
    ],
    ids=["sized", "to the end", "chunk", "tiny chunks", "packed"],
)
def test_an_answer_has_a_size_limit(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    """As read and as unpacked; the message says the limit."""
    monkeypatch.setattr(transport, "MOST_BYTES", 1 << 17)
    assert "its answer is longer than 32 MiB" in str(failure(raw(data)))


def test_a_whole_page_of_a_large_cloud_is_read() -> None:
    """Five hundred rows of ten kB, packed or not, and in chunks."""
    row = {"name": "z", "note": random.Random(7).randbytes(5000).hex()}
    rows = [{"id": str(number), **row} for number in range(500)]
    page = json.dumps({"listzonesresponse": {"count": 500, "zone": rows}}).encode()
    for data in (sized(page), packed(gzip.compress(page)), packed(zlib.compress(page), b"deflate")):
        with fake_cloud(raw(data)) as fake:
            assert Cloud(fake.credentials()).list("listZones", "zone") == rows


BROKEN = {
    "garbage": b"\x16\x03\x01\x02\x00",
    "no version": b"200 OK\r\n\r\n" + ANSWER,
    "no status": b"HTTP/1.1 \r\n\r\n" + ANSWER,
    "word for a status": b"HTTP/1.1 OK\r\n\r\n" + ANSWER,
    "status of one digit": b"HTTP/1.1 7 \r\n\r\n" + ANSWER,
    "endless status": b"HTTP/1.1 200 " + b"K" * 70_000,
    "endless header": HEAD + b"X: " + b"x" * 70_000,
    "200 headers": HEAD + b"X: x\r\n" * 200 + b"\r\n" + ANSWER,
    "two lengths": HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n" + ANSWER,
    "length that is none": HEAD + b"Content-Length: many\r\n\r\n<html>",
    "more than is sent": HEAD + b"Content-Length: 99\r\n\r\n" + ANSWER,
    "less than is sent": HEAD + b"Content-Length: 9\r\n\r\n" + ANSWER,
    "headers only": HEAD + b"Content-Length: 0\r\n\r\n",
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "not modified": b"HTTP/1.1 304 Not Modified\r\n\r\n",
    "chunks cut short": CHUNKED + b"40\r\n" + ANSWER,
    "chunks without an end": CHUNKED + b"19\r\n" + ANSWER + b"\r\n",
    "chunk size that is none": CHUNKED + b"zz\r\n" + ANSWER + b"\r\n0\r\n\r\n",
    "negative chunk": CHUNKED + b"-5\r\n" + ANSWER + b"\r\n0\r\n\r\n",
    "not packed": packed(ANSWER),
    "packed and cut": packed(gzip.compress(ANSWER)[:-9]),
    "packed in another way": packed(ANSWER[::-1], b"br"),
    "packed twice": packed(gzip.compress(gzip.compress(ANSWER)), b"gzip, gzip"),
    "a redirect to nowhere": b"HTTP/1.1 302 Found\r\nLocation: http://[::1\xff\r\nContent-Length: 0\r\n\r\n",
    "a header without end": b"HTTP/1.1 200 OK\r\n\xff\xfe: \x00\r\n : \r\n\r\n{",
    "nothing": b"",
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=list(BROKEN))
def test_http_that_is_broken_is_the_servers_fault(data: bytes) -> None:
    """No exception of a library gets through; a call that was sent may have been carried out."""
    error = failure(raw(data), "createNetwork", timeout_s=20)
    assert error.may_have_run
    assert "Error" not in str(error), "the name of an exception says nothing to an operator"
    assert str(error).isprintable()


def test_a_broken_answer_spoils_no_later_one() -> None:
    """What is left on a connection whose answer was given up is never taken for the next answer."""
    zones = b'{"listzonesresponse": {"count": 1, "zone": [{"id": "%s", "name": "z"}]}}'

    def keeps_open(request: Request) -> None:
        request.handler.close_connection = False
        request.handler.connection.sendall(packed(gzip.compress(ANSWER)[:-9]) + sized(zones % b"left"))

    with fake_cloud(keeps_open, raw(sized(zones % b"new"))) as fake:
        cloud = Cloud(fake.credentials())
        with pytest.raises(errors.CloudUnreachable, match="can't be unpacked"):
            cloud.list("listZones", "zone")
        assert cloud.list("listZones", "zone") == [{"id": "new", "name": "z"}]


def keeps(request: Request) -> None:
    """Answer, and keep the connection, as servers do."""
    request.handler.close_connection = False
    command = request.params["command"].lower()
    body = b'{"%sresponse": {}}' % command.encode()
    request.handler.connection.sendall(sized(body))


def test_looks_share_a_connection_and_changes_have_their_own() -> None:
    """A server may close a kept connection while a call is on its way: a look is sent again then, a change may not."""
    with fake_cloud(keeps) as fake:
        cloud = Cloud(fake.credentials())
        for command in ("listZones", "listHosts", "createTags", "deleteTags", "listZones"):
            cloud.call(command)
        ports = [request.handler.client_address[1] for request in fake.requests]
    look, same, change, other, last = ports
    assert look == same
    assert len({look, change, other}) == 3
    assert last == other, "what comes after is a look, which may be sent again"


def test_a_connection_that_was_idle_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers close theirs after five seconds or more."""
    with fake_cloud(keeps) as fake:
        cloud = Cloud(fake.credentials())
        cloud.call("listZones")
        monkeypatch.setattr(transport, "WORN_S", -1.0)
        cloud.call("listZones")
        first, second = (request.handler.client_address[1] for request in fake.requests)
    assert first != second


def test_a_look_on_a_connection_that_the_server_closes_is_sent_again() -> None:
    """Once, on a new one; a server that goes on so is not there."""
    with fake_cloud(keeps, reset, keeps, reset) as fake:
        cloud = Cloud(fake.credentials())
        assert cloud.call("listZones") == cloud.call("listHosts") == {}
        assert [request.params["command"] for request in fake.requests] == ["listZones", "listHosts", "listHosts"]
        with pytest.raises(errors.CloudUnreachable, match="reset"):
            cloud.call("listZones")
        assert len(fake.requests) == 5


def test_a_change_is_sent_once_whatever_becomes_of_the_connection() -> None:
    """Whether it was carried out nobody knows."""
    with fake_cloud(keeps, reset) as fake:
        cloud = Cloud(fake.credentials())
        cloud.call("listZones")
        with pytest.raises(errors.CloudUnreachable) as caught:
            cloud.call("createTags")
        assert len(fake.requests) == 2
    assert caught.value.may_have_run


def test_a_cloud_that_is_gone_keeps_no_connection(lab: Lab) -> None:
    """Each thread has one of its own: kept for ever, they would use up what a process may have open."""

    def ways() -> int:
        gc.collect()
        return sum(isinstance(one, transport.Wire) for one in gc.get_objects())

    before = ways()
    for _ in range(5):
        lab.cloud().call("listZones")
    assert ways() <= before
