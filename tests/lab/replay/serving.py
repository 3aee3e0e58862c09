"""A lab API on a loopback socket over a ground that only remembers what it was asked."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from tests.lab.held_clock import HeldClock
from tests.lab.no_ground import NoGround
from vrbench.lab.api.server.server import ApiServer, Caller
from vrbench.lab.api.state.settings import ZoneSettings
from vrbench.lab.ground.specs import RouterSpec, RuleSet, VmSpec
from vrbench.lab.timing import Timing

Body = dict[str, Any]

DEADLINE_S = 60.0
QUICK = Timing().scaled(0.01)


@dataclass
class RememberingGround(NoGround):
    """Keeps the values it was given as well."""

    routers: list[RouterSpec] = field(default_factory=list)
    machines: list[VmSpec] = field(default_factory=list)
    programmed: dict[str, RuleSet] = field(default_factory=dict)

    def place_router(self, router: RouterSpec) -> None:
        super().place_router(router)
        self.routers.append(router)

    def add_vm(self, vm: VmSpec) -> None:
        super().add_vm(vm)
        self.machines.append(vm)

    def program_router(self, name: str, rules: RuleSet) -> None:
        super().program_router(name, rules)
        self.programmed[name] = rules


class Refused(AssertionError):
    """An answer that was an error."""

    def __init__(self, status: int, body: Body) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status
        self.code = body.get("errorcode")
        self.text = str(body.get("errortext"))


@dataclass(frozen=True)
class Client:
    """One caller of one endpoint; signs by itself, so that it can't share a mistake with the server."""

    port: int
    caller: Caller

    def raw(self, command: str, params: Mapping[str, object], method: str = "GET") -> tuple[int, Body]:
        """Status and whole answer."""
        sent = {"command": command, "response": "json", "apiKey": self.caller.apikey}
        sent |= {name: str(value) for name, value in params.items()}
        sent["signature"] = signature(sent, self.caller.secretkey)
        return exchange(self.port, method, sent)

    def __call__(self, command: str, /, **params: object) -> Body:
        """Return the object inside the wrapper; raises Refused."""
        status, answer = self.raw(command, params)
        body: Body = next(iter(answer.values()))
        if status != 200:
            raise Refused(status, body)
        return body

    def job(self, command: str, /, **params: object) -> Body:
        """Submit and wait; the finished job."""
        return self.finished(self(command, **params)["jobid"])

    def finished(self, job: str) -> Body:
        def done() -> Body | None:
            body = self("queryAsyncJobResult", jobid=job)
            return body if body["jobstatus"] else None

        job_done: Body = eventually(done)
        return job_done

    def result(self, command: str, /, **params: object) -> Body:
        """Submit, wait and expect success; the job's result."""
        job = self.job(command, **params)
        assert job["jobstatus"] == 1, job["jobresult"]
        result: Body = job["jobresult"]
        return result

    def refused(self, command: str, /, **params: object) -> tuple[int, int]:
        """HTTP status and CloudStack's own code of a refusal that is expected."""
        status, answer = self.raw(command, params)
        body: Body = next(iter(answer.values()))
        assert body.get("errorcode") == status, body
        return status, body["cserrorcode"]

    def listed(self, command: str, what: str, /, **params: object) -> list[Body]:
        return list(self(command, **params).get(what, []))


def signature(params: dict[str, str], secret: str) -> str:
    text = "&".join(f"{name}={quote(params[name], safe='*')}".lower() for name in sorted(params))
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()).decode()


def exchange(port: int, method: str, params: dict[str, str], headers: dict[str, str] | None = None) -> tuple[int, Body]:
    """Make one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
    text = urlencode(params, quote_via=quote)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    try:
        if method == "GET":
            connection.request("GET", f"/client/api?{text}", headers=headers or {})
        else:
            connection.request("POST", "/client/api", body=text, headers=form | (headers or {}))
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def eventually(look: Callable[[], Any]) -> Any:
    """Return what ``look`` returns as soon as that is something; fail at the deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not (found := look()):
        assert time.monotonic() < deadline, "nothing came of it in time"
        time.sleep(0.005)
    return found


@dataclass(frozen=True)
class Lab:
    """A served API and its callers."""

    port: int
    ground: RememberingGround
    clock: HeldClock
    root: Client
    domadmin: Client
    user: Client

    def built_in(self) -> Body:
        """Ids of the zone, the offering with source NAT, the smallest service offering and the template."""
        offerings = self.root.listed("listNetworkOfferings", "networkoffering", guestiptype="Isolated")
        return {
            "zoneid": self.root.listed("listZones", "zone")[0]["id"],
            "networkofferingid": next(o["id"] for o in offerings if o["name"].endswith("WithSourceNatService")),
            "serviceofferingid": self.root.listed("listServiceOfferings", "serviceoffering")[0]["id"],
            "templateid": self.root.listed("listTemplates", "template", templatefilter="executable")[0]["id"],
        }

    def tenant(self) -> Body:
        """Return the user's account as others name it."""
        ops = next(row["id"] for row in self.root.listed("listDomains", "domain") if row["name"] == "ops")
        return {"account": "tenant", "domainid": ops}

    def network(self, who: Client, name: str = "net") -> Body:
        ids = self.built_in()
        chosen = {key: ids[key] for key in ("networkofferingid", "zoneid")}
        answer = who("createNetwork", name=name, displaytext=name, **chosen)
        network: Body = answer["network"]
        return network

    def deploy(self, who: Client, network: str, name: str, **more: object) -> Body:
        """Deploy a VM, and return the answer to its submission."""
        return who("deployVirtualMachine", **self.machine_params(network, name), **more)

    def machine_params(self, network: str, name: str) -> Body:
        ids = self.built_in()
        chosen = {key: ids[key] for key in ("serviceofferingid", "templateid", "zoneid")}
        return {**chosen, "networkids": network, "name": name}

    def built(self, who: Client, machines: int = 1, name: str = "net") -> tuple[str, list[Body]]:
        """Build an implemented network and its VMs."""
        network = self.network(who, name)["id"]
        jobs = [self.deploy(who, network, f"{name}-vm{n}")["jobid"] for n in range(machines)]
        return network, [who.finished(job)["jobresult"]["virtualmachine"] for job in jobs]

    def routers(self, network: str) -> list[Body]:
        return self.root.listed("listRouters", "router", networkid=network, listall="true")


@contextmanager
def served(settings: ZoneSettings | None = None) -> Iterator[Lab]:
    """Serve a lab's API until the block ends."""
    ground, clock = RememberingGround(), HeldClock()
    server = ApiServer(ground, settings or ZoneSettings(timing=QUICK, api_step_s=0.01), clock=clock)
    listener = socket.create_server(("127.0.0.1", 0))
    server.start([listener])
    try:
        callers = {name: Client(listener.getsockname()[1], caller) for name, caller in server.callers().items()}
        port = next(iter(callers.values())).port
        yield Lab(port, ground, clock, callers["root"], callers["domadmin"], callers["user"])
    finally:
        server.stop()
