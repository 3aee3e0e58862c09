"""The way to the API: proxies, TLS, gateways, rate limits, clocks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from tests.field.case import RUN, Case
from tests.field.conftest import Hold
from tests.field.fronts import Asked, Front, Said, busy, page
from tests.field.place import Place

pytestmark = pytest.mark.lab

DEAD = "http://operator:sesame@127.0.0.1:9"
LIMIT = "The given user has reached his/her account api limit, please retry after 1 ms."


@contextmanager
def as_https(place: Place) -> Iterator[Mapping[str, str]]:
    """Call the API's endpoint https, though it speaks plain HTTP."""
    yield {"HTTPS": place.zone.status.endpoint.replace("http:", "https:")}


def each_fifth(asked: Asked) -> Said | None:
    """Turn each fifth call of every command away, in CloudStack's own words."""
    body = {"errorresponse": {"errorcode": 429, "cserrorcode": 4470, "errortext": LIMIT, "uuidList": []}}
    return Said(429, json.dumps(body).encode(), "application/json") if asked.met % 5 == 0 else None


def closed(_asked: Asked) -> Said | None:
    """Be under maintenance, until an hour from now."""
    return Said(503, page(503, "Maintenance").body, headers={"Retry-After": "3600"})


CASES = (
    Case(
        "an authority of one's own",
        "the API speaks TLS with a certificate of an own authority, and `CLOUDSTACK_VERIFY` names it",
        code=0,
        said=("nothing bad",),
        front=Front(tls=True),
        environ={"CLOUDSTACK_VERIFY": "{CERTS}/ca.pem"},
    ),
    Case(
        "an authority that nobody named",
        "the same, and nothing names it",
        code=3,
        said=("its certificate is signed by a CA that is not known here", "by CLOUDSTACK_VERIFY"),
        front=Front(tls=True),
    ),
    Case(
        "no check, and a limit on calls",
        "a whole run, and `CLOUDSTACK_VERIFY` is `false`; each fifth call of every command is turned away with 429",
        code=0,
        said=(
            "TLS certificates are not checked, as $CLOUDSTACK_VERIFY asks for",
            "(429);",
            "is repeated in",
            "the certificate of the API's server was not checked",
        ),
        changes=True,
        argv=RUN,
        front=Front(rules=(each_fifth,), tls=True),
        environ={"CLOUDSTACK_OVERRIDES": "verify", "CLOUDSTACK_VERIFY": "false"},
    ),
    Case(
        "TLS where there is none",
        "the endpoint is written with `https://`, and the server speaks plain HTTP",
        code=3,
        said=("speaks no TLS, but plain HTTP perhaps", "Write http:// instead of https://"),
        around=as_https,
        files={"cloudstack.ini": "[cloudstack]\nendpoint = {HTTPS}\nkey = {KEY}\nsecret = {SECRET}\n"},
    ),
    Case(
        "a dead proxy",
        "`https_proxy` names a proxy that nobody runs, with a password",
        code=3,
        said=(
            "the proxy http://127.0.0.1:9 (from $https_proxy) is at fault: the connection was refused",
            "correct $https_proxy, or name 127.0.0.1 in $no_proxy",
        ),
        unsaid=("sesame",),
        front=Front(tls=True),
        environ={"https_proxy": DEAD, "CLOUDSTACK_VERIFY": "{CERTS}/ca.pem"},
    ),
    Case(
        "a proxy for this machine's own addresses",
        "`HTTP_PROXY` is set, and the endpoint is on this machine",
        code=3,
        said=("the proxy http://127.0.0.1:9 (from $HTTP_PROXY) is at fault", "name 127.0.0.1 in $no_proxy"),
        unsaid=("sesame", "ok endpoint"),
        environ={"HTTP_PROXY": DEAD},
    ),
    Case(
        "a proxy that is none",
        "`all_proxy` is of a kind that there is not",
        code=64,
        said=("the proxy from $all_proxy is of a kind that is not known here (ftp://)", "correct $all_proxy"),
        unsaid=("sesame",),
        environ={"all_proxy": "ftp://operator:sesame@127.0.0.1:9"},
    ),
    Case(
        "a clock that is off",
        "the server's clock is an hour ahead of this machine's",
        code=3,
        said=("bad clock 3600 s behind the server's", "set this machine's clock"),
        front=Front(skew_s=3600),
    ),
    Case(
        "one call too many",
        "the first `listZones` is turned away with 429, and with `Retry-After: 1`",
        code=0,
        said=("the server asks to wait 1 s (429); listZones is repeated in 1 s", "nothing bad"),
        front=Front(rules=(busy("listZones", retry_after="1"),)),
    ),
    Case(
        "a server under maintenance",
        "every call is turned away with 503, and with `Retry-After: 3600`",
        code=3,
        said=("refused (503)", "was not carried out. It asks to wait 3600 s, longer than is left"),
        front=Front(rules=(closed,)),
    ),
)


@pytest.mark.parametrize("case", [pytest.param(c, marks=[pytest.mark.slow] * c.changes) for c in CASES], ids=str)
def test_case(case: Case, hold: Hold) -> None:
    """What comes of it, in the right words, and no call that changes anything before it must be."""
    hold(case)
