"""Talking to an endpoint that misbehaves: every failure has its own clear message, and no secret gets out."""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from urllib.parse import quote

import cs.client
import pytest

from tests.cloud import server
from tests.cloud.server import KEY, SECRET, fake_cloud, job, page, refuses, says
from tests.cloud.test_clock import answering
from vrbench.cloud import errors
from vrbench.cloud.api import channel
from vrbench.cloud.api.facade import POLL_TIMEOUT_S, Cloud, Job
from vrbench.cloud.credentials.credentials import Credentials

ZONE = {"id": "1", "name": "z"}


def failure_of(cloud: Cloud, command: str = "listZones") -> errors.CloudError:
    with pytest.raises(errors.CloudError) as caught:
        cloud.call(command)
    return caught.value


def everything_about(error: BaseException) -> str:
    """Return all that a log, a debugger's repr or a traceback could show, context and all."""
    parts = ["".join(traceback.format_exception(error)), repr(error), str(vars(error))]
    while (error := error.__cause__ or error.__context__) is not None:  # type: ignore[assignment]
        parts += [repr(error), str(error)]
    return "\n".join(parts)


def assert_keeps_secrets(text: str, *more: str) -> None:
    for secret in (KEY, SECRET, quote(KEY), quote(KEY, safe=""), quote(SECRET, safe=""), *more):
        assert secret not in text


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_stepped_wall_clock_expires_no_call(monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    """Signatures last ten minutes by the clock as it was at first: a step back must not end a trial and its removal."""

    class Stepped(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Stepped:
            return super().now(tz) + timedelta(hours=hours)

    with fake_cloud(says("listZones", {})) as fake:
        cloud = Cloud(fake.credentials())
        for module in (cs.client, channel):
            monkeypatch.setattr(module, "datetime", Stepped)
        cloud.call("listZones")
    sent = fake.requests[0].params
    assert sent["signatureVersion"] == "3"
    left = datetime.strptime(sent["expires"], "%Y-%m-%dT%H:%M:%S%z") - datetime.now(UTC)
    assert timedelta(minutes=9, seconds=50) < left <= timedelta(minutes=10)


def test_a_web_page_is_told_apart() -> None:
    """An endpoint that serves HTML is told apart from a refusal, and the message says what to check."""
    with fake_cloud(page()) as fake:
        error = failure_of(Cloud(fake.credentials()))
    assert isinstance(error, errors.NotCloudStack)
    assert "/client/api" in str(error)
    assert fake.endpoint in str(error)


@pytest.mark.parametrize("behaviour", [server.half, server.broken, server.reset])
def test_answers_cut_short_are_unreachable(behaviour: server.Behaviour) -> None:
    """Half an answer, no JSON and a reset all count as no answer."""
    with fake_cloud(behaviour) as fake:
        error = failure_of(Cloud(fake.credentials()))
    assert isinstance(error, errors.CloudUnreachable)
    assert not error.may_have_run


def test_a_server_that_hangs_times_out_and_the_call_may_have_run() -> None:
    """A mutating call without an answer is sent once, and the message says that it may have run."""
    with fake_cloud(server.hang) as fake:
        error = failure_of(Cloud(fake.credentials(), mutation_timeout_s=0.2), "createNetwork")
        assert isinstance(error, errors.CloudUnreachable)
        assert error.may_have_run
        assert "may have been carried out" in str(error)
        assert len(fake.requests) == 1


def test_a_call_that_changes_something_outlasts_a_look() -> None:
    """A real server answers the submission of a rule only once the rules before it are on the router."""
    looked = threading.Event()

    def answer(request: server.Request) -> None:
        if request.params["command"] == "listZones":
            request.released.wait(30)
        looked.wait(30)
        says("createFirewallRule", {"jobid": "j", "id": "r"})(request)

    with fake_cloud(answer) as fake, ThreadPoolExecutor() as pool:
        cloud = Cloud(fake.credentials(), timeout_s=0.1, mutation_timeout_s=60)
        submitted = pool.submit(cloud.submit, "createFirewallRule")
        assert "too long" in str(failure_of(cloud))
        looked.set()
        assert submitted.result() == Job("createFirewallRule", "j", "r")


def test_a_closed_port_never_ran() -> None:
    """Nobody listens: the call was certainly not carried out."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{free.getsockname()[1]}/client/api"
        error = failure_of(Cloud(Credentials(endpoint, KEY, SECRET)), "createNetwork")
    assert isinstance(error, errors.CloudUnreachable)
    assert "refused" in str(error)
    assert not error.may_have_run


def test_a_redirect_is_not_followed() -> None:
    """A signed request goes to no host that nobody named."""

    def redirect(request: server.Request) -> None:
        request.handler.send_response(308)
        request.handler.send_header("Location", "http://127.0.0.1:1/elsewhere")
        request.handler.end_headers()

    with fake_cloud(redirect) as fake:
        error = failure_of(Cloud(fake.credentials()))
    assert "redirects to 'http://127.0.0.1:1/elsewhere'" in str(error)


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (401, "unable to verify user credentials and/or request signature", errors.WrongCredentials),
        (401, "The given command 'listRouters' either does not exist, is not available for user.", errors.NotPermitted),
        (432, "The API [listRouters] does not exist or is not available for the account", errors.NotPermitted),
        (432, "The user is not allowed to request the API command", errors.NotPermitted),
        (532, "Maximum number of public IP addresses for account: X has been exceeded.", errors.QuotaExceeded),
        (535, "Maximum amount of resources of Type = 'user_vm' …", errors.QuotaExceeded),
        (533, "Insufficient address capacity", errors.NoCapacity),
        (431, "Gateway parameter is invalid", errors.CloudRefused),
    ],
)
def test_refusals_come_by_kind_with_the_servers_words(code: int, text: str, kind: type) -> None:
    """Each kind of refusal is a type, and keeps what the server said."""
    with fake_cloud(refuses("listZones", code, text)) as fake:
        error = failure_of(Cloud(fake.credentials()))
    assert type(error) is kind
    assert text in str(error)
    assert isinstance(error, errors.CloudRefused)
    assert error.code == code


@pytest.mark.parametrize("code", [431, 2])
def test_a_servers_words_are_one_line_that_moves_no_terminal(code: int) -> None:
    """As a refusal and as a job's end; and no longer than anybody reads."""
    text = "no\x1b[2J\r\n \u202ehost " + "x" * 5000
    failed = job(2, jobresult={"errorcode": 530, "errortext": text})
    said_no = failed if code == 2 else refuses("queryAsyncJobResult", code, text)
    kind = errors.JobFailed if code == 2 else errors.CloudRefused
    with fake_cloud(said_no) as fake, pytest.raises(kind) as caught:
        Cloud(fake.credentials()).wait(Job("restartNetwork", "j"), 20)
    said = str(caught.value)
    assert r"no\x1b[2J \u202ehost xxx" in said
    assert said.isprintable()
    assert len(said) < 1200


def test_a_wrong_secret_says_what_to_check() -> None:
    """The 401 message names the key, the secret and the clock."""
    text = "unable to verify user credentials and/or request signature"
    with fake_cloud(refuses("listZones", 401, text)) as fake:
        message = str(failure_of(Cloud(fake.credentials())))
    assert all(word in message for word in ("key", "secret", "clock"))


@pytest.mark.parametrize(
    "behaviour", [server.echo(), server.echo(503), server.half, server.reset, refuses("x", 431, f"bad {KEY} {SECRET}")]
)
def test_no_key_secret_or_signature_gets_out(behaviour: server.Behaviour) -> None:
    """Not in text, repr, attributes or any chained exception, even if the other side echoes the request."""
    with fake_cloud(behaviour) as fake:
        cloud = Cloud(fake.credentials(), patience_s=0)
        error = failure_of(cloud, "createNetwork")
        sent = fake.requests[0].params
        assert sent["apiKey"] == KEY
        about = everything_about(error) + repr(cloud) + repr(fake.credentials())
    assert_keeps_secrets(about, sent["signature"], quote(sent["signature"], safe=""))


@pytest.mark.parametrize("offset", range(40, 80, 3))
def test_a_secret_is_hidden_before_a_page_is_cut_short(offset: int) -> None:
    """Half a secret is a secret too."""
    text = "." * offset + SECRET + "." * 100

    with fake_cloud(lambda request: request.answer(text, 200, "text/plain")) as fake:
        error = failure_of(Cloud(fake.credentials()))
    assert SECRET[:5] not in str(error)


def test_requests_are_posted_and_signed() -> None:
    """The signature is HMAC-SHA1 over the sorted, lowercased parameters; booleans are true and false."""
    with fake_cloud(says("listZones", {})) as fake:
        Cloud(fake.credentials()).call("listZones", available=True, name="a b", ids=["x", "y"], nothing=None)
        request = fake.requests[0]
    sent = dict(request.params)
    signature = sent.pop("signature")
    plain = "&".join(f"{name}={quote(value, safe='*')}" for name, value in sorted(sent.items())).lower()
    digest = hmac.new(SECRET.encode(), plain.encode(), hashlib.sha1).digest()
    assert signature == base64.b64encode(digest).decode()
    assert request.handler.command == "POST"
    assert (sent["available"], sent["name"], sent["ids"]) == ("true", "a b", "x,y")
    assert "nothing" not in sent


def test_lists_are_read_to_the_end_in_the_servers_own_page_size() -> None:
    """The first answer's length is the page size that later pages ask for."""
    pages = [
        says("listEvents", {"count": 5, "event": [{"id": "1"}, {"id": "2"}]}),
        says("listEvents", {"count": 5, "event": [{"id": "3"}, {"id": "4"}]}),
        says("listEvents", {"count": 5, "event": [{"id": "5"}]}),
    ]
    with fake_cloud(*pages) as fake:
        rows = Cloud(fake.credentials()).list("listEvents", "event")
        asked = [(r.params.get("page"), r.params.get("pagesize")) for r in fake.requests]
    assert "".join(row["id"] for row in rows) == "12345"
    assert asked == [(None, None), ("2", "2"), ("3", "2")]


def test_an_empty_list_has_no_count_and_a_wrong_count_ends() -> None:
    """An empty answer is an empty list, and rows that a count promises but no page holds end the reading."""
    with fake_cloud(says("listZones", {})) as fake:
        assert Cloud(fake.credentials()).list("listZones", "zone") == []
    with fake_cloud(says("listZones", {"count": 9, "zone": [ZONE]}), says("listZones", {})) as fake:
        assert Cloud(fake.credentials()).list("listZones", "zone") == [ZONE]


def test_a_short_job_is_not_waited_for_as_long_as_a_long_one() -> None:
    """Rules take a fast router a tenth of a second each; thirty of them must not take thirty pauses."""
    with fake_cloud(job(0), job(1)) as fake:
        begun = time.monotonic()
        Cloud(fake.credentials()).wait(Job("createFirewallRule", "j"), 60, poll_s=30)
        assert time.monotonic() - begun < 15


def test_a_job_is_polled_through_all_that_passes() -> None:
    """A 503 page, a reset, a 530, a rejected signature and an answer without status are looked past."""
    looks: list[int] = []
    behaviours = [
        page(503),
        server.reset,
        refuses("queryAsyncJobResult", 530, "internal"),
        refuses("queryAsyncJobResult", 401, "unable to verify user credentials and/or request signature"),
        says("queryAsyncJobResult", {"jobid": "j"}),
        job(0),
        job(1, jobresult={"success": True}),
    ]
    with fake_cloud(*behaviours) as fake:
        waiting = Cloud(fake.credentials())
        result = waiting.wait(Job("restartNetwork", "j"), 20, 0.01, lambda: looks.append(len(fake.requests)))
    assert result == {"success": True}
    assert looks == list(range(1, 8))


def test_a_failed_job_carries_the_servers_code_and_words() -> None:
    """Job status 2 raises, and the message names the command and the job."""
    failed = job(2, jobresultcode=530, jobresult={"errorcode": 530, "errortext": "Failed to restart network"})
    with fake_cloud(failed) as fake, pytest.raises(errors.JobFailed) as caught:
        Cloud(fake.credentials()).wait(Job("restartNetwork", "j"), 5)
    assert (caught.value.code, caught.value.text) == (530, "Failed to restart network")
    assert "restartNetwork" in str(caught.value)


def test_a_failed_job_without_a_result_still_ends() -> None:
    """An answer on which cs itself would loop for ever."""
    with fake_cloud(job(2)) as fake, pytest.raises(errors.JobFailed):
        Cloud(fake.credentials()).wait(Job("restartNetwork", "j"), 5)


def test_an_unknown_job_is_refused_at_once() -> None:
    """A job that the server doesn't know will not turn up later."""
    with fake_cloud(refuses("queryAsyncJobResult", 431, "entity does not exist")) as fake:
        cloud = Cloud(fake.credentials())
        with pytest.raises(errors.CloudRefused):
            cloud.wait(Job("restartNetwork", "j"), 30)
        assert len(fake.requests) == 1


@pytest.mark.parametrize("behaviour", [job(0), page(503)])
def test_waiting_always_ends(behaviour: server.Behaviour) -> None:
    """A job that never ends, or a server that never comes back, ends in JobTimeout at the deadline."""
    begun = time.monotonic()
    with fake_cloud(behaviour) as fake, pytest.raises(errors.JobTimeout, match="restartNetwork"):
        Cloud(fake.credentials()).wait(Job("restartNetwork", "j"), 0.5, poll_s=0.05)
    assert time.monotonic() - begun < 30


def test_waiting_for_a_server_that_hangs_ends_too() -> None:
    """No look outlasts the deadline."""
    begun = time.monotonic()
    with fake_cloud(server.hang) as fake:
        with pytest.raises(errors.JobTimeout):
            Cloud(fake.credentials()).wait(Job("restartNetwork", "j"), 0.4, poll_s=0.05)
        assert time.monotonic() - begun < POLL_TIMEOUT_S


def test_each_thread_has_a_session_of_its_own() -> None:
    """Calls from many threads all get their own answers."""

    def answer(request: server.Request) -> None:
        request.answer(f'{{"listzonesresponse": {{"name": "{request.params["name"]}"}}}}')

    got: dict[int, str] = {}
    with fake_cloud(answer) as fake:
        cloud = Cloud(fake.credentials())

        def ask(number: int) -> None:
            got[number] = cloud.call("listZones", name=str(number))["name"]

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert got == {number: str(number) for number in range(12)}


def test_importing_the_facade_loads_no_http_library() -> None:
    """``vrbench --help`` stays fast."""
    import subprocess
    import sys

    code = "import sys, vrbench.cloud.build.environment, vrbench.cloud.remove.steps; print('requests' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ('{"restartnetworkresponse": {}}', 200, "the answer names no job"),
        ('{"restartnetworkresponse": [1]}', 200, "JSON of another shape"),
        ('{"errorresponse": "no"}', 530, "JSON of another shape .HTTP 530, 'application/json'"),
    ],
)
def test_json_that_makes_no_sense_may_have_been_carried_out(body: str, status: int, words: str) -> None:
    """CloudStack's API answers otherwise; whether the call was carried out is not known."""
    with fake_cloud(lambda request: request.answer(body, status)) as fake:
        with pytest.raises(errors.NotCloudStack, match=words) as caught:
            Cloud(fake.credentials()).submit("restartNetwork", id="n")
        assert len(fake.requests) == 1
    assert caught.value.may_have_run


def test_a_certificate_that_nobody_vouches_for_says_what_to_set(certificate: Path) -> None:
    """Nothing was sent; the setting is named."""
    with answering(200, None, certificate) as endpoint, pytest.raises(errors.CloudUnreachable) as caught:
        Cloud(Credentials(endpoint, "key", "secret")).call("createNetwork", name="n")
    assert "its certificate is self-signed" in str(caught.value)
    assert "Name the file that holds it by CLOUDSTACK_VERIFY" in str(caught.value)
    assert not caught.value.may_have_run


def test_what_is_no_answer_is_told_from_an_answer_that_is_not_cloudstacks() -> None:
    """Whoever reads it looks for a wrong address in the one case, for a server that is down in the other."""
    silent = errors.CloudUnreachable("listZones", "http://h", "refused", may_have_run=False)
    other = errors.NotCloudStack("listZones", "http://h", "a web page", may_have_run=False)
    assert str(silent).startswith("listZones: no answer from http://h: refused. Check")
    assert str(other).startswith("listZones: http://h answers, but not as CloudStack's API does: a web page. Check")


@pytest.mark.parametrize("text", ["unable to verify user credentials", "unable to verify user credentials."])
def test_advice_follows_the_servers_words_as_a_sentence(text: str) -> None:
    """Servers end their words with a stop or without."""
    refused = errors.refusal("listZones", "http://h", 401, text)
    assert "unable to verify user credentials. Check the API key" in str(refused)
