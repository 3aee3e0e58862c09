"""Projects: things that several accounts share, in the name of an account that nobody calls as."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from vrbench.lab.api.accounts.commands import amounts_view
from vrbench.lab.api.accounts.limits import used
from vrbench.lab.api.request.call import Call, Task
from vrbench.lab.api.request.responses import domain_fields, stamp
from vrbench.lab.api.request.selection import select
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import Account, Json, Project
from vrbench.lab.api.state.zone import new_id


def create_project(call: Call) -> Task:
    """Answer createProject: its owner is the caller, or the account named together with its domain."""
    owner, name = call.owner(), call.required("name")
    if any(project.name == name and project.account.domain is owner.domain for project in call.zone.projects):
        raise errors.invalid(f"Project with name {name} already exists in domain id={owner.domain.uuid}")

    with call.zone.lock:
        project = _new(call, owner, name)
    return Task(lambda: {"project": _view(call, project)}, project, "None", shows_instance=False, creates=True)


def _new(call: Call, owner: Account, name: str) -> Project:
    account = replace(
        owner, uuid=new_id(), role="project", apikey="", secretkey="", limits=call.zone.new_limits(), limit_changes=[]
    )
    text = call.text("displaytext") or name
    project = Project(uuid=new_id(), name=name, displaytext=text, account=account, owner=owner, members=[owner])
    account.project = call.zone.add(project).account.project = project
    account.name, account.number = f"PrjAcct-{name}-{project.number}", 100 + project.number
    return project


def _change(call: Call, act: Callable[[Project], None]) -> Task:
    """Change a project that the caller owns, or that is in an administrator's domain."""
    project = call.entity("id", Project) or call.entity("projectid", Project)
    if project is None or project.removed:
        raise errors.invalid("Unable to find project by id")
    if not (project.owner is call.caller or (call.caller.role != "user" and call.may_touch(project.account))):
        raise errors.no_permission()

    def run() -> Json:
        with call.zone.lock:
            act(project)
            return {"project": _view(call, project)} if not project.removed else {"success": True}

    return Task(run)


def _put(state: str, project: Project) -> None:
    project.state = state


def add_account(call: Call) -> Task:
    """Answer addAccountToProject: an account of the project's own domain."""

    def add(project: Project) -> None:
        account = call.zone.account_named(call.text("account") or "", project.account.domain)
        if account is None:
            raise errors.invalid(f"Unable to find account name={call.text('account')} in the project's domain")
        project.members.append(account)

    return _change(call, add)


def delete_project(call: Call) -> Task:
    """Answer deleteProject: of an empty one; what is in it is not removed with it here."""

    def delete(project: Project) -> None:
        if any(used(call.zone, project.account).values()):
            raise errors.internal("Can't delete the project yet because it has resources")
        call.zone.remove(project)

    return _change(call, delete)


def list_projects(call: Call) -> Json:
    """Answer listProjects: those that the caller is in; to administrators with listall or a domain, all of that."""
    rows = [_view(call, project) for project in reversed(call.zone.projects) if _sees(call, project)]
    return call.listing("project", select(call, rows, state="state"))


def _sees(call: Call, project: Project) -> bool:
    """Return whether a list shows it; not even an administrator's by its id, unless all are asked for."""
    domain, home = call.domain(), project.account.domain
    if domain is not None and not (home is domain or (call.flag("isrecursive") and domain.holds(home))):
        return False
    if call.caller.is_root and (call.flag("listall") or (domain is not None and not call.flag("isrecursive"))):
        return True
    if call.caller.role == "domadmin" and call.flag("listall") and home is call.caller.domain:
        return True  # those of domains below it are shown to nobody but root
    return call.caller in project.members


def _view(call: Call, project: Project) -> Json:
    account = project.account
    states = [machine.state for machine in call.zone.machines if machine.account is account]
    return {
        "id": project.uuid,
        "name": project.name,
        "displaytext": project.displaytext,
        **domain_fields(account),
        "owner": [{"account": project.owner.name}],
        "projectaccountname": account.name,
        "state": project.state,
        "tags": [],
        **{n: v for n, v in amounts_view(used(call.zone, account), account.limits).items() if "project" not in n},
        "vmstopped": states.count("Stopped"),
        "vmrunning": states.count("Running"),
        "created": stamp(project.created),
    }


COMMANDS = {
    "createProject": create_project,
    "suspendProject": lambda call: _change(call, partial(_put, "Suspended")),
    "activateProject": lambda call: _change(call, partial(_put, "Active")),
    "addAccountToProject": add_account,
    "deleteProject": delete_project,
    "listProjects": list_projects,
}
