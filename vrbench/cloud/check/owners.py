"""Whose the things are that a run makes: the caller's own, a project's, or those of an account that it may act for.

A server shows an administrator none of a project's things, and a caller none of another account's, unless each call
says whose it means. So an owner who is not the caller is named in every call that takes one (``Cloud.acting_for``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn, Protocol

from vrbench.cloud.api.facade import Answer, Cloud
from vrbench.cloud.errors import CloudRefused, NotPermitted, PreflightError
from vrbench.core.findings import Blame, Finding, FindingState
from vrbench.core.model import CALLER, Owner
from vrbench.core.suggest import nearest

_USER, _ROOT = 0, 1  # account types: who may do nothing for others, who may do everything
_DENIED = 531
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Whose:
    """The owner, and the row that has its limits; ``what`` it is in words.

    ``domains``: the rows of its own and of those above it, as far as the caller is shown any.
    """

    owner: Owner
    row: Answer
    what: str = "account"
    domains: tuple[Answer, ...] = ()

    @property
    def named(self) -> str:
        """The owner in words: "project 'staging' in ROOT/ops"."""
        return f"{self.what} {self.row.get('name')!r} in {_home(self.row)}"


NOBODY_ELSE = Whose(CALLER, {})  # the caller, of whom no more is known


class Wanted(Protocol):
    """The names by which a plan, or a profile, says whose its things shall be; empty: the caller's own."""

    @property
    def project(self) -> str: ...

    @property
    def domain(self) -> str: ...

    @property
    def account(self) -> str: ...


def find_owner(cloud: Cloud, wanted: Wanted, caller: Answer) -> Whose:
    """Return whose the things will be; the caller's, where nobody is named. Raises PreflightError."""
    if wanted.project:
        return _project(cloud, wanted, caller)
    if wanted.account:
        return _account(cloud, wanted, caller)
    return Whose(CALLER, caller, domains=_Domains.of_itself(cloud, caller))


def can_look_into(cloud: Cloud, owner: Owner) -> bool:
    """Return whether the caller may look at the owner's things. Raises CloudError where that can't be told.

    A user that asks for another account's things may be shown its own instead, without a word; but never its account.
    """
    if not owner.project_id:
        return any(row.get("name") == owner.account for row in _accounts(cloud, owner))
    try:
        cloud.acting_for(owner).count("listNetworks", "network")
    except CloudRefused as refused:
        if isinstance(refused, NotPermitted) or refused.means_gone or refused.code == _DENIED:
            return False
        raise
    return True


def _accounts(cloud: Cloud, owner: Owner) -> list[Answer]:
    try:
        return cloud.list("listAccounts", "account", name=owner.account, domainid=owner.domain_id, listall=True)
    except CloudRefused:
        return []


def is_root(caller: Answer) -> bool:
    """Return whether these are the keys of a root administrator."""
    return bool(caller.get("accounttype") == _ROOT)


def _may_act(caller: Answer) -> bool:
    """Return whether these are the keys of an administrator, of all or of a domain."""
    return bool(caller.get("accounttype", _USER) != _USER)


# -- projects


def projects(cloud: Cloud) -> list[Answer]:
    """Return the projects that the caller is shown: its own, or all of an administrator's domain."""
    return cloud.list("listProjects", "project", listall=True)


def _project(cloud: Cloud, wanted: Wanted, caller: Answer) -> Whose:
    known = _Domains.of(cloud, caller)
    rows = projects(cloud)
    hits = [row for row in rows if row["id"] == wanted.project] or [r for r in rows if r["name"] == wanted.project]
    if not hits:
        return _unseen_project(cloud, wanted, caller, rows)
    row = _the_one(hits, wanted, known)
    if row["state"] != "Active":
        _no(
            f"project {row['name']!r} is {row['state']}, so nothing can be made in it",
            "ask its owner or an administrator to activate it, or choose another",
        )
    owner = Owner(project_id=str(row["id"]))
    return Whose(owner, known.with_path(row), "project", known.above(str(row.get("domainid"))))


def _the_one(hits: Sequence[Answer], wanted: Wanted, known: _Domains) -> Answer:
    """Return the project that is in the domain asked for, of those of one name."""
    fit = [row for row in hits if not wanted.domain or known.fits(row, wanted.domain)]
    if not fit:
        there = f"{known.homes(hits)} has one of this name"
        _no(f"project {wanted.project!r} is not in the domain {wanted.domain!r}, {there}", "correct cloud.domain")
    if len(fit) > 1:
        _no(
            f"project {wanted.project!r} is the name of {len(fit)} projects, in {known.homes(fit)}",
            "say which one by its domain's path as cloud.domain, or name its id as cloud.project",
        )
    return fit[0]


def _unseen_project(cloud: Cloud, wanted: Wanted, caller: Answer, rows: Sequence[Answer]) -> Whose:
    """Take a project by its id that no list shows, where its things may be looked at; as those of a subdomain are."""
    owner = Owner(project_id=wanted.project)
    if _is_id(wanted.project) and can_look_into(cloud, owner):
        return Whose(owner, {"id": wanted.project, "name": wanted.project, "domain": "a domain below"}, "project")
    near = nearest(wanted.project, [str(row.get("name")) for row in rows], most=3)
    there = near or sorted(str(row.get("name")) for row in rows)[:_SHOWN]
    shown = f"nearest: {', '.join(there)}" if there else "it is in no project"
    below = ", or name the id of a project in a domain below" if _may_act(caller) else ""
    return _no(
        f"project {wanted.project!r} is none that this account may build in ({shown})",
        f"correct the name, or have the account added to the project{below}",
    )


def _is_id(text: str) -> bool:
    return len(text) == 36 and text.count("-") == 4


# -- accounts


def _account(cloud: Cloud, wanted: Wanted, caller: Answer) -> Whose:
    known = _Domains.of(cloud, caller)
    if caller.get("name") == wanted.account and (not wanted.domain or known.fits(caller, wanted.domain)):
        return Whose(CALLER, caller, domains=known.above(str(caller.get("domainid"))))
    if not known.may_look:
        _no(
            f"cloud.account is {wanted.account!r}, and these are a user's keys, of account {caller.get('name')!r}, "
            "which may build for that account only",
            "leave cloud.account and cloud.domain out, or use the keys of an administrator",
        )
    row = _account_row(cloud, wanted, known)
    if row.get("state", "enabled") != "enabled":
        _no(f"account {row['name']!r} is {row['state']}, so nothing can be made for it", "enable it, or choose another")
    owner = Owner(account=str(row["name"]), domain_id=str(row["domainid"]))
    return Whose(owner, known.with_path(row), "account", known.above(owner.domain_id))


def _account_row(cloud: Cloud, wanted: Wanted, known: _Domains) -> Answer:
    """Return the account of this name, in the domain that is named, else in the only one that has it."""
    where = {"domainid": known.one(wanted.domain)} if wanted.domain else {}
    rows = cloud.list("listAccounts", "account", name=wanted.account, listall=True, **where)
    rows = [row for row in rows if row["name"] == wanted.account]
    if len(rows) > 1:
        _no(
            f"account {wanted.account!r} is the name of {len(rows)} accounts, in {known.homes(rows)}",
            "say which one by its domain's path as cloud.domain",
        )
    if not rows:
        place = f"in the domain {wanted.domain!r}" if wanted.domain else "in a domain of these keys"
        _no(f"account {wanted.account!r} is not {place}", "look at the name, and at cloud.domain")
    return rows[0]


# -- domains


@dataclass(frozen=True, slots=True)
class _Domains:
    """The domains that the caller is shown; a user is shown none, and only knows its own by name."""

    rows: tuple[Answer, ...]
    may_look: bool

    @classmethod
    def of(cls, cloud: Cloud, caller: Answer) -> _Domains:
        if not _may_act(caller):
            return cls((), may_look=False)
        return cls(tuple(cloud.list("listDomains", "domain", listall=True)), may_look=True)

    @staticmethod
    def of_itself(cloud: Cloud, caller: Answer) -> tuple[Answer, ...]:
        """Return the caller's own domain, of an administrator: nobody else is shown it."""
        if not _may_act(caller):
            return ()
        try:
            return tuple(cloud.list("listDomains", "domain", id=str(caller.get("domainid"))))
        except NotPermitted:
            return ()

    def one(self, wanted: str) -> str:
        """Return the id of the domain of this id, path or name. Raises PreflightError."""
        hits = [row for row in self.rows if _is_called(row, wanted)]
        hits = [row for row in hits if row["id"] == wanted or _same_path(row, wanted)] or hits
        if len(hits) == 1:
            return str(hits[0]["id"])
        paths = [str(row.get("path")) for row in hits or self.rows]
        if hits:
            _no(
                f"domain {wanted!r} is the name of {len(hits)} domains, {', '.join(sorted(paths))}",
                "give the path of the one as cloud.domain",
            )
        near = nearest(wanted, paths, most=3) or sorted(paths)[:_SHOWN]
        return _no(f"domain {wanted!r} not found; nearest: {', '.join(near)}", "correct cloud.domain")

    def fits(self, row: Answer, wanted: str) -> bool:
        """Return whether a row is of that domain, by what the row itself shows, else by the domain's own path."""
        if self.rows:
            return bool(row.get("domainid") == self.one(wanted))
        if path := row.get("domainpath"):
            return _is_called({"id": row.get("domainid"), "path": path}, wanted)
        return row.get("domainid") == wanted or row.get("domain") == wanted.rpartition("/")[2]

    def with_path(self, row: Answer) -> Answer:
        """Return the row with its domain's path, which older servers leave out."""
        path = next((d.get("path") for d in self.rows if d["id"] == row.get("domainid")), None)
        return {**row, "domainpath": path} if path else row

    def homes(self, rows: Sequence[Answer]) -> str:
        return ", ".join(sorted({_home(self.with_path(row)) for row in rows}))

    def above(self, domain_id: str) -> tuple[Answer, ...]:
        """Return a domain and those that it lies in, as far as the caller is shown them."""
        path = next((f"{row.get('path')}/" for row in self.rows if row["id"] == domain_id), "")
        return tuple(row for row in self.rows if path.startswith(f"{row.get('path')}/"))


def _home(row: Answer) -> str:
    return str(row.get("domainpath") or row.get("domain") or "a domain that is not shown")


def _is_called(row: Answer, wanted: str) -> bool:
    last = str(row.get("path")).rpartition("/")[2]
    return row["id"] == wanted or last == wanted or _same_path(row, wanted)


def _same_path(row: Answer, wanted: str) -> bool:
    """Return whether a domain has this path, which is written with ROOT or without, and in any case."""
    return "/" in wanted and _steps(str(row.get("path"))) == _steps(wanted)


def _steps(path: str) -> list[str]:
    steps = [step for step in path.lower().split("/") if step]
    return steps[1:] if steps[:1] == ["root"] else steps


def _no(seen: str, cure: str) -> NoReturn:
    raise PreflightError([Finding("owner", FindingState.BAD, seen, cure, Blame.CLOUD)])
