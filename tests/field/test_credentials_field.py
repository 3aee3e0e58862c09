"""Which cloud is meant, and by whose keys: settings, files and places as other tools know them."""

from __future__ import annotations

import pytest

from tests.field.case import CLIENT_FILE, PROFILE, RUN, Case
from tests.field.conftest import Hold
from tests.field.fronts import Front, get_only, wants_header

pytestmark = pytest.mark.lab

ALL = {"CLOUDSTACK_ENDPOINT": "{EP}", "CLOUDSTACK_KEY": "{KEY}", "CLOUDSTACK_SECRET": "{SECRET}"}
CMK = """prompt     = \U0001f435
timeout    = 1800
verifycert = true
profile    = mine

[mine]
url       = {EP}
username  = admin
password  = not-shown
domain    = /
apikey    = {KEY}
secretkey = {SECRET}
"""

CASES = (
    Case(
        "no cloud is named",
        "no `cloudstack.ini` anywhere, no variable",
        code=64,
        said=("no CloudStack",),
        files={"cloudstack.ini": None},
    ),
    Case(
        "a secret that is not the key's",
        "`secret` in `cloudstack.ini` is another one",
        code=3,
        said=("unable to verify user credentials",),
        files={"cloudstack.ini": "[cloudstack]\nendpoint = {FRONT}\nkey = {KEY}\nsecret = another\n"},
    ),
    Case(
        "another cloud than the file's",
        "`CLOUDSTACK_ENDPOINT` names one cloud, the file of `CLOUDSTACK_CONFIG` another, with its key",
        code=64,
        said=(
            "two endpoints: http://127.0.0.1:9/client/api from $CLOUDSTACK_ENDPOINT, and ",
            "the key and secret come",
        ),
        argv=RUN,
        environ={"CLOUDSTACK_CONFIG": "cloudstack.ini", "CLOUDSTACK_ENDPOINT": "http://127.0.0.1:9/client/api"},
    ),
    Case(
        "a region in other letters",
        "`prod.ini` has `[prod]`, and `CLOUDSTACK_REGION` is `Prod`",
        code=64,
        said=("asks for the section 'Prod'; the sections are: 'prod' in ", "did you mean prod?"),
        argv=RUN,
        environ={"CLOUDSTACK_CONFIG": "prod.ini", "CLOUDSTACK_REGION": "Prod"},
        files={"cloudstack.ini": None, "prod.ini": CLIENT_FILE.replace("cloudstack", "prod")},
    ),
    Case(
        "a gateway that wants all",
        "it asks for a client certificate, a header and GET; the file has `cert`, `cert_key`, `header_…` and `method`",
        code=0,
        said=("nothing bad",),
        front=Front(rules=(wants_header("X-Api-Gateway"), get_only), client_certificate=True),
        files={
            "cloudstack.ini": CLIENT_FILE + "verify = {CERTS}/ca.pem\ncert = {CERTS}/client.pem\n"
            "cert_key = {CERTS}/client.key\nheader_X-Api-Gateway = token\nmethod = get\n"
        },
    ),
    Case(
        "settings without effect",
        "`CLOUDSTACK_TRACE` and `poll_interval` are set",
        code=0,
        said=("not honoured: poll_interval from ", "trace from $CLOUDSTACK_TRACE (it would show the key"),
        environ={"CLOUDSTACK_TRACE": "true"},
        files={"cloudstack.ini": CLIENT_FILE + "poll_interval = 3\n"},
    ),
    Case(
        "authorities that are not there",
        "`CLOUDSTACK_VERIFY` is `~/ca.pem`, and there is none; asked with `--json`",
        code=64,
        said=("verify = '~/ca.pem' from $CLOUDSTACK_VERIFY: No such file", '"exit_code": 64'),
        argv=("doctor", "mini.toml", "--no-calibrate", "--json"),
        environ={"CLOUDSTACK_VERIFY": "~/ca.pem"},
    ),
    Case(
        "a carriage return",
        "`CLOUDSTACK_ENDPOINT` ends in one, as a file of Windows leaves it",
        code=0,
        said=("the endpoint from $CLOUDSTACK_ENDPOINT ends in U+000D carriage return: that is left out", "nothing bad"),
        environ={**ALL, "CLOUDSTACK_ENDPOINT": "{EP}\r"},
    ),
    Case(
        "values in quotes",
        "all three in `cloudstack.ini` stand in quotes, with a comment behind",
        code=0,
        said=("each of endpoint and key from ", "stands in quotes (U+0022 quotation mark)", "nothing bad"),
        files={"cloudstack.ini": '[cloudstack]\nendpoint = "{FRONT}"\nkey = "{KEY}"\nsecret = "{SECRET}" ; ours\n'},
    ),
    Case(
        "half a quote",
        "the secret in `cloudstack.ini` begins with a curly one",
        code=64,
        said=("holds U+201C left double quotation mark at line 4, column 10: write it anew",),
        argv=RUN,
        files={"cloudstack.ini": CLIENT_FILE.replace("{SECRET}", "\u201c{SECRET}")},
    ),
    Case(
        "files of Windows",
        "`cloudstack.ini` is UTF-8 and the profile UTF-16, both with a mark at the beginning, CR and LF",
        code=0,
        said=("nothing bad",),
        files={
            "cloudstack.ini": "\ufeff" + CLIENT_FILE.replace("\n", "\r\n"),
            "mini.toml": PROFILE.replace("\n", "\r\n").encode("utf-16"),
        },
    ),
    Case(
        "curly quotes in a profile",
        "an editor has turned the quotes of `probes.egress_target`",
        code=64,
        said=("line 11, column 17 holds U+201C left double quotation mark",),
        argv=RUN,
        files={"mini.toml": PROFILE.replace('"203.0.113.1"', "\u201c203.0.113.1\u201d")},
    ),
    Case(
        "CloudMonkey's profile",
        "`~/.cmk/config` is all that there is",
        code=0,
        said=(".cmk/config [mine]", "nothing bad"),
        unsaid=("not-shown",),
        files={"cloudstack.ini": None, "{HOME}/.cmk/config": CMK},
    ),
    Case(
        "CloudMonkey's file is named",
        "`CLOUDSTACK_CONFIG` names it",
        code=0,
        said=("cmkconfig [mine]", "nothing bad"),
        environ={"CLOUDSTACK_CONFIG": "cmkconfig"},
        files={"cloudstack.ini": None, "cmkconfig": CMK},
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case, hold: Hold) -> None:
    """What comes of it, in the right words, and no call that changes anything before it must be."""
    hold(case)
