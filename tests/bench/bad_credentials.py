"""Credential files and environments that nobody can mean. Nothing answers at any endpoint that they name."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

from tests.bench.bad_values import HOSTILE_TEXTS, no_file, spoiled
from tests.bench.input_case import Case

KEY, SECRET = "kEyThatIsSecret0123456789", "sEcReTtHaTiSsEcReT9876543210"
ENDPOINT = "http://127.0.0.1:9/client/api"
CODES = (3, 64)
NAMES = (
    "endpoint",
    "key",
    "secret",
    "verify",
    "cloudstack.ini",
    "other.ini",
    "127.0.0.1",
    "localhost",
    "CLOUDSTACK",
    "profile",
    "CA_BUNDLE",
    "fifo",
    "name another file",
)
PROFILE = '[probes]\negress_target = "203.0.113.1"\n[environment]\naccept_slow_removal = true\n'
JOURNAL = (
    '{"event":"opened","format":"vrbench-journal/1","run_id":"left","endpoint":"http://127.0.0.1:9/client/api",'
    '"account":"a","domain_id":"d","at":"2026-11-24T12:00:00+00:00"}\n'
    '{"event":"intended","key":"network","kind":"network","params":{"name":"vrb-x"},"at":"2026-11-24T12:00:00+00:00"}\n'
    '{"event":"created","key":"network","id":"n1","at":"2026-11-24T12:00:01+00:00"}\n'
)
ENDPOINTS = (
    "",
    " ",
    "127.0.0.1:9/client/api",
    "//127.0.0.1:9",
    "http://",
    "https://",
    "http:///client/api",
    "http://127.0.0.1:99999/client/api",
    "http://127.0.0.1:-1/",
    "http://127.0.0.1:port/",
    "http://127.0.0.1:/client/api",
    "http://[::1]:9/client/api",
    "http://[::1:9/client/api",
    "http://::1/client/api",
    "http://127.0.0.1:9/cli ent/a pi",
    f"http://user:{SECRET}@127.0.0.1:9/client/api",
    f"http://127.0.0.1:9/client/api?apikey={KEY}&secret={SECRET}",
    f"http://127.0.0.1:9/client/api#{SECRET}",
    "http://ünïcödé.example/client/api",
    "http://xn--a.example/",
    f"http://{'a' * 70}.example/",
    f"http://{'a.' * 200}example/",
    "http://.example/",
    "http://exa mple/",
    "http://127.0.0.1:9/\x1b[31m",
    "http://127.0.0.1\r\nHost: x:9/",
    "http://\u202e127.0.0.1:9/",
    "http://127.0.0.1:9/" + "a" * 100_000,
    "HTTP://127.0.0.1:9/client/api",
    "ftp://127.0.0.1/",
    "file:///etc/passwd",
    "http://0x7f.1:9/",
    "http://127.0.0.1:9\\@example.com/",
    "https://127.0.0.1:9/client/api",
    SECRET,
    "http://%zz/",
    "http://localhost:9/client/api",
    "http://\udcff/",
)
VERIFIES = (
    "",
    "true",
    "false",
    "/nonexistent/ca.pem",
    "~/ca.pem",
    "/etc/passwd",
    "/dev/zero",
    "/proc/self/mem",
    "/etc",
    ".",
    "\x1b[31m",
    "maybe",
    "x" * 5000,
    "fifo",
    "\udcff",
)


TURNED: dict[str, Callable[[bytes], bytes]] = {  # as other systems and tools leave files
    "UTF-16": lambda content: content.decode("utf-8", "replace").encode("utf-16"),
    "half UTF-16": lambda content: content.decode("utf-8", "replace").encode("utf-16")[:-1],
    "carriage returns": lambda content: content.replace(b"\n", b"\r"),
    "quotes": lambda content: content.replace(b"= ", b'= "').replace(b"\n", b'"\n'),
    "a shell's": lambda content: content.replace(b"\nkey", b"\nexport CLOUDSTACK_KEY").replace(b" = ", b"="),
    "CloudMonkey's": lambda content: (
        b"profile = cloudstack\n" + content.replace(b"endpoint", b"url").replace(b"\nkey", b"\napikey")
    ),
}


def odd_secret(rng: random.Random, secret: str) -> str:
    """Return a secret with something beside it."""
    odd = rng.choice(
        (
            "",
            "",
            "",
            " ",
            "%(key)s",
            "50%",
            "\x1b[31m",
            "\u202e",
            "é",
            "\udcff",
            "=",
            '"',
            "\x7f",
            "x" * 100_000,
            "\t",
            "\u200b",
        )
    )
    return rng.choice((secret + odd, odd + secret, secret[:10] + odd + secret[10:]))


def _shown(secret: str) -> str:
    """Return the part of a secret that stays whole whatever is put beside it."""
    return secret[10:]


def make(rng: random.Random, here: Path) -> Case:
    """Write bad credentials, and return what is asked with them."""
    here.joinpath("good.toml").write_text(PROFILE)
    os.mkfifo(here / "fifo")
    values = _values(rng)
    where = rng.choice(("home", "here", "named", "environment", "mixed"))
    environ = {"PATH": os.environ["PATH"], "HOME": str(here / "home"), "COLUMNS": "200"}
    (here / "home").mkdir()
    file = {"home": here / "home" / ".cloudstack.ini", "here": here / "cloudstack.ini"}.get(where, here / "other.ini")
    if where in ("named", "mixed"):
        environ["CLOUDSTACK_CONFIG"] = str(file)
    what = f"{where}: {_told(values)}"
    if where in ("environment", "mixed"):
        environ |= {f"CLOUDSTACK_{name.upper()}": value for name, value in values.items() if "\0" not in value}
    if where != "environment":
        what += "; " + _file(rng, file, values)
    if rng.random() < 0.3:
        environ |= _odd_settings(rng)
    argv = _argv(rng, here)
    secrets = (_shown(SECRET), _shown(KEY))
    return Case(f"{argv[0]} {what}", argv, NAMES, environ, CODES, secrets)


def _values(rng: random.Random) -> dict[str, str]:
    values = {"endpoint": ENDPOINT, "key": KEY, "secret": SECRET}
    for name in rng.sample(
        ("endpoint", "endpoint", "key", "secret", "verify", "missing", "other"), rng.choice((1, 1, 2))
    ):
        if name == "endpoint":
            values[name] = rng.choice(ENDPOINTS)
        elif name == "verify":
            values |= {
                "verify": rng.choice(VERIFIES),
                "endpoint": rng.choice((ENDPOINT, ENDPOINT.replace("http", "https"))),
            }
        elif name == "missing":
            values.pop(rng.choice(list(values)))
        elif name == "other":
            odd = rng.choice((*HOSTILE_TEXTS, "1e400", "-1", "9" * 400, "nan"))
            values[rng.choice(("timeout", "dangerous_no_tls_verify", "method", "retry", "expiration", "theme"))] = odd
        else:
            values[name] = odd_secret(rng, KEY if name == "key" else SECRET)
    return values


def _told(values: dict[str, str]) -> str:
    return ", ".join(f"{name}={value[:60]!r}" for name, value in values.items())


def _file(rng: random.Random, file: Path, values: dict[str, str]) -> str:
    """Write an ini file, or something in its place; return what."""
    section = rng.choice(("cloudstack", "cloudstack", "cloudstack", "cloudstack", "CloudStack", "", "a]b", "DEFAULT"))
    lines = [f"{name} {rng.choice('=:')} {value}" for name, value in values.items()]
    text = (f"[{section}]\n" if section else "") + "\n".join(lines) + "\n"
    content = text.encode("utf-8", "surrogateescape")
    kinds = ("plain", "plain", "twice", "spoiled", "continued", "no file", "deep", "unreadable", *TURNED)
    kind = rng.choice(kinds)
    if kind == "no file":
        return no_file(rng, file, 1 << 40)
    if kind == "twice":
        content += rng.choice((content, lines[0].encode("utf-8", "surrogateescape") + b"\n"))
    elif kind == "spoiled":
        content = spoiled(rng, content)
    elif kind == "continued":
        content = content.replace(b"\n", b"\n ")
    elif kind in TURNED:
        content = TURNED[kind](content)
    elif kind == "deep":
        content += b"[x" * 10_000 + b"]\n" + b"a=1\n" * 100_000
    file.write_bytes(content)
    if kind == "unreadable":
        file.chmod(0)
    return f"{kind} [{section}]"


def _odd_settings(rng: random.Random) -> dict[str, str]:
    name, values = rng.choice(
        (
            (
                "CLOUDSTACK_CONFIG",
                ("~nosuchuser/x.ini", "/dev/stdin", "/", "x" * 5000, "\udcff", "\x1b[31m", ".", "fifo"),
            ),
            ("CLOUDSTACK_REGION", ("DEFAULT", "\x1b[31m", "a]b", "x" * 5000, "\udcff", "../x")),
            ("CLOUDSTACK_OVERRIDES", ("endpoint", "secret", "\x1b[31m", "\udcff", "x " * 5000)),
            ("CLOUDSTACK_TIMEOUT", ("nan", "-1", "9" * 400, "abc")),
            ("CLOUDSTACK_EXPIRATION", ("nan", "-1", "9" * 400, "1e9", "0")),
            ("CLOUDSTACK_RETRY_BACKOFF", ("nan", "-1", "9" * 400, "1e9", "..")),
            ("CLOUDSTACK_METHOD", ("put", "\x1b[31m", "GET\r", "")),
            ("CLOUDSTACK_CERT", ("/nonexistent", "/dev/zero", "/etc/passwd", "\udcff", ".")),
            ("CLOUDSTACK_CERT_KEY", ("/nonexistent", "x" * 5000)),
            ("CLOUDSTACK_DANGEROUS_NO_TLS_VERIFY", ("maybe", "true", "\x1b")),
            ("REQUESTS_CA_BUNDLE", ("/nonexistent", "/dev/zero")),
            ("HOME", ("", "/nonexistent", "\udcff", "x" * 5000, "~")),
            ("HTTP_PROXY", ("http://127.0.0.1:99999", "\x1b[31m", "socks9://x", f"http://u:{SECRET}@127.0.0.1:9")),
            ("https_proxy", ("http://[::1", "127.0.0.1:9", "http://\udcff")),
            ("XDG_STATE_HOME", ("/dev/null", "/nonexistent", "\udcff")),
        )
    )
    return {name: rng.choice(values)}


def _argv(rng: random.Random, here: Path) -> tuple[str, ...]:
    """Choose who asks: a run, the doctor or a clean-up."""
    command = rng.choice(("run", "run", "doctor", "cleanup"))
    if command == "run":
        return ("run", "good.toml", "--plain")
    if command == "doctor":
        return ("doctor", "good.toml", "--no-calibrate")
    run = here / "reports" / "20261124T120000Z-0-left"
    run.mkdir(parents=True)
    (run / "journal.jsonl").write_text(JOURNAL)
    return ("cleanup", rng.choice((run.name, "--all")))
