"""Whatever is wrong: one message that says what, where and what to do, the right exit code, and nothing left behind."""

from __future__ import annotations

import http.server
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.zone import PROFILE, VRBENCH, Done, Zone, hear, running_zone

pytestmark = pytest.mark.lab


def fails(done: Done, code: int, *words: str) -> None:
    """Check that it ended with this code and these words, and without a traceback."""
    assert done.code == code, done.err + done.out
    assert "Traceback" not in done.err
    for word in words:
        assert word in done.err, f"{word!r} not in:\n{done.err}"


def ini(zone: Zone, **changes: str) -> Zone:
    """Return the same zone, seen through other credentials."""
    root = zone.status.callers["root"]
    values = {"endpoint": zone.status.endpoint, "key": root.apikey, "secret": root.secretkey, **changes}
    path = zone.here / "other.ini"
    path.write_text("[cloudstack]\n" + "".join(f"{k} = {v}\n" for k, v in values.items()))
    return Zone(zone.state, zone.here, zone.status, {"CLOUDSTACK_CONFIG": str(path)})


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("probes.intervall=1s", ("probes.intervall", "did you mean interval?")),
        ("probes.interval=10 parsecs", ("10 parsecs", "not a duration", "100ms")),
        ("environment.vms=0", ("environment.vms", "from 1 to 200")),
        ("probes.interval=900ms", ("probes.interval", "shorter than probes.threshold")),
    ],
)
def test_bad_profile_values(zone: Zone, setting: str, words: tuple[str, ...]) -> None:
    """A mistake in the profile is named with its key and the cure; nothing is asked of the cloud."""
    fails(zone.vrbench("run", zone.profile(), "--set", setting), 64, *words)
    assert not (zone.here / "reports").exists()


def test_a_missing_profile_is_named(zone: Zone) -> None:
    """A file that isn't there, and a misspelt name of a shipped one."""
    fails(zone.vrbench("run", "nowhere.toml"), 64, "nowhere.toml", "No such file")
    fails(zone.vrbench("run", "lab-paralel"), 64, "did you mean lab-parallel?")


def test_no_credentials(zone: Zone) -> None:
    """Without endpoint and keys the message says where they may stand."""
    bare = Zone(zone.state, zone.here, zone.status, {"CLOUDSTACK_CONFIG": "", "HOME": str(zone.here)})
    fails(bare.vrbench("run", zone.profile()), 64, "CLOUDSTACK_ENDPOINT", "cloudstack.ini")


def test_nothing_listens(zone: Zone) -> None:
    """An endpoint that nobody answers at."""
    fails(ini(zone, endpoint="http://127.0.0.1:9/client/api").vrbench("run", zone.profile()), 3, "127.0.0.1:9")


def test_wrong_secret(zone: Zone) -> None:
    """The server's refusal, and where to look; the secret is not repeated."""
    done = ini(zone, secret="not-the-secret-at-all").vrbench("run", zone.profile())
    fails(done, 3, "unable to verify user credentials", "secret")
    assert "not-the-secret-at-all" not in done.err + done.out


@contextmanager
def web_page() -> Iterator[str]:
    """Run a server on loopback that answers everything with a page."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = b"<html><body>Welcome to our proxy</body></html>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST

        def log_message(self, format: str, *args: object) -> None:
            return None

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/client/api"
    finally:
        server.shutdown()


def test_an_endpoint_that_answers_html(zone: Zone) -> None:
    """Something answers, but it is not CloudStack; run on the host, where the page is."""
    with web_page() as endpoint:
        done = subprocess.run(
            [*VRBENCH, "run", zone.profile()],
            cwd=zone.here,
            env={**ini(zone, endpoint=endpoint).environment()},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    fails(Done(done.returncode, done.stdout, done.stderr), 3, endpoint, "CloudStack")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cloud.template", "No such template"),
        ("cloud.network_offering", "DefaultIsolatedNetworkOfferingWithSourceNatServic"),
        ("cloud.service_offering", "Smal Instance"),
        ("cloud.zone", "Atlantis"),
    ],
)
def test_missing_names_are_all_found_before_anything_is_built(zone: Zone, key: str, value: str) -> None:
    """A template, offering or zone that isn't there is named, with what there is."""
    fails(zone.vrbench("run", zone.profile(), "--set", f'{key}="{value}"'), 3, value)
    assert zone.left() == []


def test_not_enough_addresses_by_quota(zone: Zone) -> None:
    """A user with 20 addresses can't have 30: said before anything is built."""
    user = zone.status.callers["domadmin"]
    mine = ini(zone, key=user.apikey, secret=user.secretkey)
    fails(mine.vrbench("run", zone.profile(), "--set", "environment.public_ips=30"), 3, "address", "30")
    assert zone.left() == []


def test_a_caller_who_may_not_expunge_is_told_what_would_stay(zone: Zone) -> None:
    """A plain user's network would stay for a day or two: refused unless the profile accepts it."""
    user = zone.status.callers["user"]
    mine = ini(zone, key=user.apikey, secret=user.secretkey)
    fails(mine.vrbench("run", zone.profile()), 3, "expunge")
    assert zone.left() == []


def test_vms_that_never_get_ssh(zone: Zone) -> None:
    """A wrong SSH user: named after the boot timeout, with what to check, and everything removed."""
    settings = ("--set", "cloud.ssh_user=nosuchuser", "--set", "environment.boot_timeout=3s")
    fails(zone.vrbench("run", zone.profile(), *settings), 3, "did not answer on SSH", "cloud.ssh_user")
    assert zone.left() == []


@pytest.fixture
def own_zone(tmp_path: Path) -> Iterator[Zone]:
    """Start a lab that the test may break."""
    with running_zone(tmp_path) as zone:
        yield zone


def make_routers(zone: Zone, outcome: str) -> None:
    """Let the start of every router from now on fail or wait, as CloudStack's simulator can be told to."""
    found = zone.cloud.list("listZones", "zone")[0]
    zone.cloud.call("configureSimulator", zoneid=found["id"], name="StartCommand", value=outcome)


def test_a_job_that_fails(own_zone: Zone) -> None:
    """The restart's job fails (the new router can't start): the cloud's own words, everything removed."""
    zone = own_zone
    process = zone.start("run", zone.profile(), "--plain")
    hear(process, "trial 1: baseline")
    make_routers(zone, "fail")
    out, err = process.communicate(timeout=150)
    fails(Done(process.returncode, out, err), 3, "trial 1", "530")
    assert "job-failed" in zone.vrbench("export", only(zone), "--table", "trials").out
    assert zone.left() == []


@pytest.mark.slow
def test_a_job_that_never_ends(own_zone: Zone) -> None:
    """A restart that never ends is given up: the trial is unknown, its samples stay, everything is removed."""
    zone = own_zone
    process = zone.start("run", zone.profile(PROFILE.replace('"90s"', '"12s"')), "--plain")
    hear(process, "trial 1: baseline")
    make_routers(zone, "wait:60000")
    out, err = process.communicate(timeout=150)
    fails(Done(process.returncode, out, err), 3, "has not ended")
    assert "job-unfinished" in zone.vrbench("export", only(zone), "--table", "trials").out
    assert zone.left() == []


def test_too_little_disk_is_said_before_anything_is_built(own_zone: Zone) -> None:
    """A run that the disk can't hold is not begun."""
    done = on_small_disk(own_zone, 1)
    fails(done, 2, "MB left", "--reports")
    assert own_zone.left() == []


def test_a_disk_that_fills_up(own_zone: Zone) -> None:
    """Samples can't be written any more: the run ends, says so, and everything in the cloud is removed."""
    done = on_small_disk(own_zone, 8, fill=True)
    fails(done, 2, "space")
    assert own_zone.left() == []


def on_small_disk(zone: Zone, megabytes: int, fill: bool = False) -> Done:
    """Run with reports on a tmpfs of that size; ``fill``: something else fills it once the operation is asked for."""
    filler = (
        "(while ! ls d/*/trial-01/facts.json; do sleep 0.1; done; cat /dev/zero > d/other) >/dev/null 2>&1 & "
        if fill
        else ""
    )
    command = f"mkdir d && mount -t tmpfs -o size={megabytes}m none d && {filler} exec {' '.join(VRBENCH)} "
    argv = ["unshare", "--mount", "sh", "-c", f"{command} run {zone.profile()} --plain --reports d"]
    from vrbench.lab import lifecycle

    done = subprocess.run(
        lifecycle.enter(zone.state, "upstream", argv),
        cwd=zone.here,
        env=zone.environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def only(zone: Zone) -> str:
    """Return the id of the one run there is."""
    (path,) = (zone.here / "reports").glob("*/")
    return path.name
