"""The API's manners: signatures, sessions, wrappers, formats, paging."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.lab.replay.serving import Client, Lab, Refused, exchange, served
from vrbench.lab.api.server.commands import handlers
from vrbench.lab.api.server.signature import sign
from vrbench.lab.api.state.fixtures import base_shapes

CREDENTIALS = "unable to verify user credentials and/or request signature"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with served() as running:
        yield running


def in_minutes(minutes: int) -> str:
    return (datetime.now(UTC) + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%S+0000")


def test_signature_equals_the_published_vector() -> None:
    """The example of the CloudStack developer's guide comes out."""
    key = "plgWJfZK4gyS3mOMTVmjUVg-X-jlWlnfaUJ9GAbBbf9EdM-kAYMmAiLqzzq1ElZLYq_u38zCm0bewzGUdP66mg"
    secret = "VDaACYb0LV9eNjTetIOElcVQkvJck_J_QljX_FcHRj87ZKiy0z0ty0ZsYBkoXkY9b7eq1EhwJaw7FF3akA3KBQ"
    params = [("command", "listUsers"), ("response", "json"), ("apiKey", key)]
    assert sign(params, secret) == "TTpdDq/7j/J58XCRHomKoQXEQds="


def test_wrong_secret_and_unknown_key_get_the_same_answer(lab: Lab) -> None:
    """Neither says which half was wrong; the wrapper is the command's."""
    for wrong in (replace(lab.user.caller, secretkey="x"), replace(lab.user.caller, apikey="A" * 86)):
        status, answer = Client(lab.port, wrong).raw("listZones", {})
        assert status == 401
        assert answer == {"listzonesresponse": {"uuidList": [], "errorcode": 401, "errortext": CREDENTIALS}}


@pytest.mark.parametrize(("expires", "status"), [(15, 200), (-1, 401), (None, 401)])
def test_signature_version_3_expires(lab: Lab, expires: int | None, status: int) -> None:
    """A time ahead is taken, a past or a missing one is not."""
    more = {} if expires is None else {"expires": in_minutes(expires)}
    assert lab.user.raw("listZones", {"signatureVersion": 3, **more})[0] == status


def test_command_that_nobody_knows(lab: Lab) -> None:
    """With a key it looks like bad credentials, in the generic wrapper."""
    status, answer = lab.user.raw("listNoSuch", {})
    assert (status, list(answer)) == (401, ["errorresponse"])


def test_command_for_others_is_refused_with_432(lab: Lab) -> None:
    """The text names the command and an id that is new every time."""
    texts = set()
    for _ in range(2):
        status, answer = lab.user.raw("listRouters", {})
        assert (status, list(answer), answer["errorresponse"]["cserrorcode"]) == (432, ["errorresponse"], 9999)
        texts.add(answer["errorresponse"]["errortext"])
    assert len(texts) == 2
    assert all(re.match(r"The API \[listRouters\] does not exist or is not available", text) for text in texts)


def test_no_command_at_all(lab: Lab) -> None:
    """The wrapper is the word null."""
    assert exchange(lab.port, "GET", {"response": "json"})[1].keys() == {"null"}


def test_xml_is_the_default_format(lab: Lab) -> None:
    """Without response=json an error comes as XML, word for word as the server writes it."""
    connection = http.client.HTTPConnection("127.0.0.1", lab.port, timeout=60)
    connection.request("GET", "/client/api?command=listZones")
    response = connection.getresponse()
    assert response.read().decode() == (
        '<?xml version="1.0" encoding="UTF-8"?><listzonesresponse cloud-stack-version="4.20.2.0"><errorcode>401'
        f"</errorcode><errortext>{CREDENTIALS}</errortext></listzonesresponse>"
    )
    assert response.headers["Content-Type"].startswith("text/xml")
    connection.close()


def test_connections_are_kept_alive(lab: Lab) -> None:
    """Several requests go over one connection, and JSON says that it is JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", lab.port, timeout=60)
    for _ in range(3):
        connection.request("GET", "/client/api?command=listZones&response=json")
        response = connection.getresponse()
        response.read()
        assert response.headers["Content-Type"] == "application/json; charset=UTF-8"
        assert not response.will_close
    connection.close()


def test_form_posts_and_any_spelling_of_names(lab: Lab) -> None:
    """A POST counts like a GET, and parameter names may be written in any case."""
    status, answer = lab.user.raw("listZones", {"NAME": "Nowhere"}, method="POST")
    assert (status, answer) == (200, {"listzonesresponse": {}})


def test_login_opens_a_session(lab: Lab) -> None:
    """The password of a lab's user is its secret key; two cookies and the session key together make a caller."""
    params = {"command": "login", "response": "json", "username": "tenant", "password": lab.user.caller.secretkey}
    connection = http.client.HTTPConnection("127.0.0.1", lab.port, timeout=60)
    connection.request("POST", "/client/api", "&".join(f"{k}={v}" for k, v in params.items()))
    response = connection.getresponse()
    key = re.search(r'"sessionkey":"([^"]+)"', response.read().decode())
    cookies = [line.split(";")[0] for line in response.headers.get_all("Set-Cookie", [])]
    connection.close()
    assert key is not None
    session = {"command": "listZones", "response": "json", "sessionkey": key[1]}
    both = {"Cookie": "; ".join(cookies)}
    assert exchange(lab.port, "GET", session, both)[0] == 200
    assert exchange(lab.port, "GET", session)[0] == 401
    for command in ("listNoSuch", "LISTZONES"):
        assert exchange(lab.port, "GET", session | {"command": command}, both)[0] == 432
    assert exchange(lab.port, "GET", session, both)[0] == 200
    wrong, said = exchange(lab.port, "GET", session | {"sessionkey": "x"}, both)
    assert (wrong, said["listzonesresponse"]["errortext"]) == (401, "unable to verify user credentials")
    assert exchange(lab.port, "GET", session, both)[0] == 401, "a wrong key ends the session"


def test_login_with_a_wrong_password(lab: Lab) -> None:
    """531, with the domain's number in the text."""
    params = {"command": "login", "response": "json", "username": "tenant", "password": "password"}
    status, answer = exchange(lab.port, "POST", params)
    assert status == 531
    assert answer["loginresponse"]["errortext"].startswith("Failed to authenticate user tenant in domain 2")


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"pagesize": 1}, '"page" parameter is required when "pagesize" is specified'),
        ({"page": 1}, '"pagesize" parameter is required when "page" is specified'),
        ({"pagesize": 501, "page": 1}, "Page size can't exceed max allowed page size value: 500"),
        ({"id": "nope"}, "Unable to execute API command listnetworks due to invalid value. Invalid parameter id"),
    ],
)
def test_parameters_that_are_refused(lab: Lab, params: dict[str, object], text: str) -> None:
    """431, in the server's words."""
    with pytest.raises(Refused) as refused:
        lab.user("listNetworks", **params)
    assert (refused.value.status, refused.value.text.startswith(text)) == (431, True)


def test_missing_parameter_is_named(lab: Lab) -> None:
    """The command in lower case, the parameter as it is."""
    with pytest.raises(Refused, match="Unable to execute API command createnetwork due to missing parameter network"):
        lab.user("createNetwork", name="x")


def test_control_characters_are_refused(lab: Lab) -> None:
    """A tab in a value is an error, whatever the parameter; a line's end is none."""
    with pytest.raises(
        Refused, match="Received value containing illegal ASCII non-printable characters for parameter name"
    ):
        lab.user("listZones", name="a\tb")
    assert lab.user("listZones", name="a\r\nb") == {}


def test_apis_are_listed_for_who_may_use_them(lab: Lab) -> None:
    """A user does not see listRouters; required parameters are marked."""
    mine = {api["name"]: api for api in lab.user.listed("listApis", "api")}
    assert "listRouters" not in mine
    required = {param["name"] for param in mine["createNetwork"]["params"] if param["required"]}
    assert required == {"name", "networkofferingid", "zoneid"}
    assert "listRouters" in {api["name"] for api in lab.root.listed("listApis", "api")}


def test_secrets_stay_out_of_reprs(lab: Lab) -> None:
    """Neither key of a caller shows when it is printed."""
    caller = lab.user.caller
    assert caller.secretkey not in repr(caller)
    assert caller.apikey not in repr(caller)


def test_every_command_in_the_data_is_served() -> None:
    """What listApis offers is what the lab answers, no more and no less."""
    assert set(base_shapes()) == set(handlers())


def test_long_list_comes_in_pages_unasked(lab: Lab) -> None:
    """Five hundred rows and the full count; beyond the last page only the count is left."""
    for n in range(510):
        lab.domadmin("registerSSHKeyPair", name=f"key-{n}", publickey=f"ssh-ed25519 {n}")
    answer = lab.domadmin("listSSHKeyPairs")
    assert (answer["count"], len(answer["sshkeypair"])) == (510, 500)
    assert len(lab.domadmin("listSSHKeyPairs", page=2, pagesize=500)["sshkeypair"]) == 10
    assert lab.domadmin("listSSHKeyPairs", page=3, pagesize=500) == {"count": 510}
