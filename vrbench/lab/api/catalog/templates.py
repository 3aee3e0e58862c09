"""Templates: the built-in one, and those that somebody registers. Nothing is downloaded: all guests are alike here."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from urllib.parse import urlsplit

from vrbench.lab.api.accounts.limits import check_limit
from vrbench.lab.api.request.call import Call, Task
from vrbench.lab.api.request.responses import owner_fields, stamp
from vrbench.lab.api.request.selection import select, without
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import Account, BuiltIn, Json
from vrbench.lab.api.state.zone import Zone, new_id

ROOT_ONLY = ("status", "url")
ROOT_ONLY_DOWNLOAD = ("datastoreRole", "datastoreId")
FILTERS = ("featured", "self", "selfexecutable", "sharedexecutable", "executable", "community", "all")
HYPERVISORS = (
    "XenServer", "KVM", "VMware", "Hyperv", "VirtualBox", "Parralels", "BareMetal", "Simulator", "Ovm", "Ovm3", "LXC",
    "Custom", "Any",
)  # fmt: skip
FORMATS = ("QCOW2", "RAW", "VHD", "ISO", "OVA", "VHDX", "BAREMETAL", "VMDK", "VDI", "TAR", "ZIP", "DIR")
ENDINGS = {"vhd": (".vhd",), "vhdx": (".vhdx",), "qcow2": (".qcow2",), "ova": (".ova",), "raw": (".img", ".raw")}
PACKED = ("", ".zip", ".bz2", ".gz", ".xz")
ALLOWED_PORTS = (None, 80, 443, 8080)
NEVER_RESOLVED = ".invalid"  # RFC 2606
ALL_ZONES = "-1"
ONLY_ROOT_EVERYWHERE = (
    "Template registered for 'All zones' can only be owned a Root Admin account. Please select specific zone(s)."
)
SIZE = 2 << 30  # bytes: all that the simulated storage delivers


def list_all(call: Call) -> Json:
    """Answer listTemplates, by filter: whose, how public, and whether it can be used yet."""
    chosen = call.required("templatefilter").lower()
    if chosen not in FILTERS:
        raise errors.invalid(f"Please specify a valid template filter: {call.required('templatefilter')}")
    if chosen != call.required("templatefilter"):
        enum = "com.cloud.template.VirtualMachineTemplate.TemplateFilter"
        raise errors.malformed(f"No enum constant {enum}.{call.required('templatefilter')}")
    if chosen == "all" and not call.caller.is_root:
        raise errors.invalid("Filter all can be specified by admin only")
    shown = _shown_by(call, chosen)
    rows = [_view(call, row) for row in call.zone.built_ins["template"] if shown(row)]
    ids = call.items("ids")
    rows = [row for row in rows if not ids or row["id"] in ids]
    same = {name: name for name in ("zoneid", "hypervisor", "templatetype", "arch", "isready")}
    return call.listing("template", select(call, rows, **same))


def _shown_by(call: Call, chosen: str) -> Callable[[BuiltIn], bool]:
    """Return the filter as a test of one template."""
    in_scope = call.scope()

    def mine(row: BuiltIn) -> bool:
        return row.account is not None and in_scope(row.account)

    def ready(row: BuiltIn) -> bool:
        return is_ready(call.zone, row)

    def public(row: BuiltIn) -> bool:
        return bool(row.body["ispublic"])

    tests: dict[str, Callable[[BuiltIn], bool]] = {
        "featured": lambda row: public(row) and row.body["isfeatured"],
        "community": lambda row: public(row) and not row.body["isfeatured"],
        "self": mine,
        "selfexecutable": lambda row: mine(row) and ready(row),
        "executable": lambda row: (mine(row) or public(row)) and ready(row),
        "all": lambda row: row.kind == "template",
    }
    return tests.get(chosen, lambda row: row.removed)  # sharedexecutable: nobody shares any


def is_ready(zone: Zone, template: BuiltIn) -> bool:
    return template.account is None or zone.clock.now() - template.created >= zone.settings.template_download_s


def _view(call: Call, template: BuiltIn) -> Json:
    """Return one template as the caller may see it; what is still downloaded has no size."""
    body = dict(template.body)
    if template.account is not None:
        body |= _progress(call.zone, template)
    if call.caller.is_root:
        return body
    hidden = () if template.account is call.caller else ROOT_ONLY
    downloads = [without(download, ROOT_ONLY_DOWNLOAD) for download in body["downloaddetails"]]
    return without(body, hidden) | {"downloaddetails": downloads}


def _progress(zone: Zone, template: BuiltIn) -> Json:
    """Return how far a registered one has come, in fifths, as the server's storage reports it."""
    passed = zone.clock.now() - template.created
    fifths = min(5, int(5 * passed / max(zone.settings.template_download_s, 0.001)))
    done = fifths == 5
    state = "DOWNLOADED" if done else "DOWNLOAD_IN_PROGRESS" if fifths else "NOT_DOWNLOADED"
    status = "Download Complete" if done else f"{20 * fifths}% Downloaded" if fifths else "Processing"
    store = dict(zone.built_ins["template"][0].body["downloaddetails"][0]) if zone.built_ins["template"] else {}
    detail = store | {"downloadPercent": str(20 * fifths), "downloadState": state}
    size = {"size": SIZE, "physicalsize": SIZE} if done else {}
    return {"isready": done, "status": status, "downloaddetails": [detail], **size}


def register(call: Call) -> Json:
    """Answer registerTemplate: listed at once, ready a while later."""
    owner, zones = call.owner(), _zones(call)
    _check_parameters(call, owner, everywhere=zones is None)
    with call.zone.lock:
        check_limit(call.zone, owner, "template", 1)
        _check_url(call.required("format"), call.required("url"))
        body = _body(call, owner, everywhere=zones is None)
        template = BuiltIn(uuid=body["id"], kind="template", body=body, account=owner)
        call.zone.add(template)
        body["created"] = stamp(template.created)
        return {"count": 1, "template": [_view(call, template)]}


def _zones(call: Call) -> tuple[str, ...] | None:
    """Return the zones asked for; None stands for all of them. Raises ApiError 431."""
    one, several = call.text("zoneid"), call.items("zoneids")
    if one and several:
        raise errors.malformed("Both zoneid and zoneids cannot be specified at the same time")
    if not one and not several:
        raise errors.malformed("Either zoneid or zoneids is required. Both cannot be null.")
    if len(several) > 1 and ALL_ZONES in several:
        raise errors.malformed("Parameter zoneids cannot combine all zones (-1) option with other zones")
    zones = several or (one or "",)
    for zone in zones:
        found = call.zone.known(zone)
        if zone != ALL_ZONES and not (isinstance(found, BuiltIn) and found.kind == "zone"):
            raise errors.unknown_entity(call.shape.name, "zoneids", zone)
    return None if zones == (ALL_ZONES,) else zones


def _check_parameters(call: Call, owner: Account, everywhere: bool) -> None:
    """Check the parameters in the server's order; raises ApiError."""
    hypervisor, wanted = call.required("hypervisor"), call.required("format")
    if call.flag("directdownload") and hypervisor.lower() != "kvm":
        raise errors.malformed("Parameter directdownload is only allowed for KVM or Custom templates")
    if not call.text("ostypeid") and not (call.flag("deployasis") and hypervisor.lower() == "vmware"):
        raise errors.malformed("Please provide a guest OS type")
    for param in ("templatetag", "isrouting"):
        if call.text(param) is not None and not call.caller.is_root:
            text = f"Parameter {param} can only be specified by a Root Admin, permission denied"
            raise errors.ApiError(531, text, 4365)
    if hypervisor.lower() not in (known.lower() for known in HYPERVISORS):
        raise errors.invalid(
            f"Hypervisor Type: {hypervisor} is invalid. Supported Hypervisor types are: {', '.join(HYPERVISORS)}"
        )
    if everywhere and not owner.is_root:
        raise errors.invalid(ONLY_ROOT_EVERYWHERE)
    if "file://" in call.required("url").lower():
        raise errors.invalid("File:// type urls are currently unsupported")
    if wanted.upper() not in FORMATS:
        text = f"Image format: {wanted} is incorrect. Supported formats are {', '.join(FORMATS)}"
        raise errors.malformed(text)


def _check_url(image_format: str, url: str) -> None:
    """Refuse (431) what the server would not fetch; names are not resolved here, and are taken to be good."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise errors.malformed(f"Invalid URL: {url}") from None
    if parts.scheme.lower() not in ("http", "https"):
        raise errors.malformed(f"Unsupported scheme for url: {url}")
    if port not in ALLOWED_PORTS:
        raise errors.malformed("Only ports 80, 8080 and 443 are allowed")
    if not parts.hostname or parts.hostname.lower().endswith(NEVER_RESOLVED):
        raise errors.malformed(f"Unable to resolve {parts.hostname}")
    if _is_local(parts.hostname):
        raise errors.malformed("Illegal host specified in url")
    endings = ENDINGS.get(image_format.lower())
    if endings and not parts.path.lower().endswith(tuple(end + packed for end in endings for packed in PACKED)):
        raise errors.malformed(
            f"Please specify a valid URL. URL:{parts.path} is an invalid for the format {image_format.lower()}"
        )


def _is_local(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified


def _body(call: Call, owner: Account, everywhere: bool) -> Json:
    """Return the template as the root administrator sees it, but for its progress."""
    site, system = call.zone.built_ins["zone"][0].body, call.entity("ostypeid", BuiltIn)
    detail = {key: value for entry in call.entries("details") for key, value in entry.items()}
    tag = call.text("templatetag")
    return {
        "id": new_id(),
        "name": call.required("name"),
        "displaytext": call.text("displaytext") or call.required("name"),
        "ispublic": call.flag("ispublic"),
        "created": "",
        "passwordenabled": call.flag("passwordenabled"),
        "format": call.required("format").upper(),
        "isfeatured": call.flag("isfeatured") and owner.is_root,
        "crossZones": everywhere,
        **({"ostypeid": system.uuid, "ostypename": system.body["name"]} if system else {}),
        **owner_fields(owner),
        "zoneid": site["id"],
        "zonename": site["name"],
        "templatetype": "ROUTING" if call.flag("isrouting") else "USER",
        "hypervisor": next(name for name in HYPERVISORS if name.lower() == call.required("hypervisor").lower()),
        "isextractable": call.flag("isextractable"),
        **({"checksum": call.text("checksum")} if call.text("checksum") else {}),
        **({"templatetag": tag} if tag else {}),
        "details": detail,
        "arch": call.text("arch") or "x86_64",
        "bits": 0,
        "sshkeyenabled": call.flag("sshkeyenabled"),
        "isdynamicallyscalable": call.flag("isdynamicallyscalable"),
        "directdownload": call.flag("directdownload"),
        "deployasis": call.flag("deployasis"),
        "requireshvm": call.flag("requireshvm", default=True),
        "url": call.required("url"),
        "tags": [],
        "hasannotations": False,
    }


def delete(call: Call) -> Task:
    """Answer deleteTemplate: everything but the id is looked at by the job."""
    template = call.entity("id", BuiltIn)
    if template is None:
        raise errors.missing_parameter(call.shape.name, "id")
    if template.kind != "template":
        raise errors.unknown_entity(call.shape.name, "id", template.uuid)

    def run() -> Json:
        with call.zone.lock:
            _check_deletable(call, template)
            call.zone.remove(template)
        return {"success": True}

    return Task(run, template, "Template")


def _check_deletable(call: Call, template: BuiltIn) -> None:
    if template.removed:
        raise errors.invalid(f"unable to find template with id {template.number}")
    users = [machine.instance_name for machine in call.zone.machines if machine.template is template]
    if users and not call.flag("forced"):
        raise errors.invalid(
            f"Unable to delete template with id: {template.number} because VM instances: [{', '.join(users)}] are "
            "using it."
        )
    if not _may_change(call, template):
        raise errors.no_permission_in_job()


def _may_change(call: Call, template: BuiltIn) -> bool:
    return call.caller.is_root if template.account is None else call.may_touch(template.account)


def check_usable(call: Call, template: BuiltIn) -> None:
    """Refuse to deploy from another account's private template (531), or from one that is not there yet (530)."""
    if not (template.body["ispublic"] or _may_change(call, template)):
        raise errors.no_permission()
    if not is_ready(call.zone, template):
        text = f"Template {template.number} has not been completely downloaded to zone 1"
        raise errors.unexpected(text, call.caller.is_root)


COMMANDS = {"listTemplates": list_all, "registerTemplate": register, "deleteTemplate": delete}
