"""One API call on its way through: who calls, with what, and how a handler reads and answers it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import Account, Domain, Entity, Json, Owned, Project
from vrbench.lab.api.state.fixtures import CommandShape
from vrbench.lab.api.state.zone import Zone

E = TypeVar("E", bound=Entity)

MAX_PAGE_SIZE = 500
EVERY_PROJECT = "-1"
MAP_ITEM = re.compile(r"(?P<name>\w+)\[(?P<index>\d+)\]\.(?P<key>\w+)")


@dataclass(frozen=True, slots=True)
class Task:
    """What an asynchronous command left to do: ``run`` returns the job's result or raises ApiError."""

    run: Callable[[], Json]
    entity: Entity | None = None
    instance_type: str | None = None
    shows_instance: bool = True  # whether the job names the entity's id
    creates: bool = False  # whether the answer to the call does


@dataclass(frozen=True, slots=True)
class Call:
    """A signed-in caller's command with its parameters by lower-case name."""

    zone: Zone
    caller: Account
    shape: CommandShape
    params: Mapping[str, str] = field(repr=False)

    def text(self, name: str) -> str | None:
        return self.params.get(name)

    def required(self, name: str) -> str:
        """Return a parameter whose presence ``check`` has seen to."""
        return self.params[name]

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a switch: anything but "true" is false, as on the server."""
        value = self.params.get(name)
        return default if value is None or value == "" else value.strip().lower() == "true"

    def number(self, name: str) -> int | None:
        value = self.params.get(name)
        if value is None or value == "":
            return None
        try:
            return int(value)
        except ValueError:
            raise errors.unreadable_value(self.shape.name, name, value) from None

    def moment(self, name: str, whole_day: bool = False) -> float | None:
        """Return a time, in seconds since the epoch and UTC; a date alone is its first second, or its last."""
        text = self.params.get(name)
        if text is None:
            return None
        for form, rest in (
            ("%Y-%m-%d", 86399 if whole_day else 0),
            ("%Y-%m-%d %H:%M:%S", 0),
            ("%Y-%m-%dT%H:%M:%S%z", 0),
        ):
            try:
                found = datetime.strptime(text, form)
            except ValueError:
                continue
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() + rest
        detail = "please pass dates in the format mentioned in the api documentation"
        raise errors.malformed(f"Unable to parse date {text} for command {self.shape.name.lower()}, {detail}")

    def items(self, name: str) -> tuple[str, ...]:
        """Return a comma-separated list."""
        return tuple(part.strip() for part in (self.params.get(name) or "").split(",") if part.strip())

    def entries(self, name: str) -> list[dict[str, str]]:
        """Return a list of maps, sent as name[0].key=…"""
        rows: dict[int, dict[str, str]] = {}
        for key, value in self.params.items():
            found = MAP_ITEM.fullmatch(key)
            if found and found["name"] == name:
                rows.setdefault(int(found["index"]), {})[found["key"]] = value
        return [rows[index] for index in sorted(rows)]

    def entity(self, name: str, kind: type[E]) -> E | None:
        """Return the entity that a parameter names, removed or not; None without one, 431 of another kind."""
        value = self.params.get(name)
        if value is None or value == "":
            return None
        found = self.zone.known(value)
        if not isinstance(found, kind):
            raise errors.unknown_entity(self.shape.name, name, value)
        return found

    def target(self, name: str, kind: type[E], gone: str = "Unable to find {name} by id {id}") -> E:
        """Return the live entity to act on; ``gone`` words the refusal for a removed one, 531 for another account's."""
        found = self.entity(name, kind)
        if found is None:
            raise errors.missing_parameter(self.shape.name, name)
        if found.removed:
            raise errors.invalid(gone.format(name=kind.__name__.lower(), id=found.number))
        if isinstance(found, Owned):
            self.check_access(found)
        return found

    def check_access(self, owned: Owned) -> None:
        if not self.may_touch(owned.account):
            raise errors.no_permission()

    def may_touch(self, account: Account) -> bool:
        """Return whether the caller may: root everything, a domain administrator its domain, a user its own."""
        if self.caller.is_root or (account.project and self.caller in account.project.members):
            return True
        if self.caller.role == "domadmin":
            return self.caller.domain.holds(account.domain)
        return account is self.caller

    def owner(self, active: bool = True) -> Account:
        """Return for whom something is created: the caller, a project, or the account named together with its domain.

        ``active``: refuse one that is suspended, locked or disabled, as nearly all commands do.
        """
        owner = self._owner()
        if active and owner.project and owner.project.state != "Active":
            whose = (owner.project.uuid, "projectId")
            raise errors.not_active("project with specified projectId", owner.project.state, whose)
        if active and owner.state != "enabled":
            raise errors.not_active(f"account {owner.name}", owner.state)
        return owner

    def _owner(self) -> Account:
        name, domain = self.text("account"), self.entity("domainid", Domain)
        if (project := self.project()) is not None:
            if name and domain is not None:
                raise errors.invalid("ProjectId and account/domainId can't be specified together")
            return project.account
        if not name:
            return self.caller
        if domain is None:
            raise errors.invalid("Account must be specified with domainId parameter")
        account = self.zone.account_named(name, domain)
        if account is None:
            raise errors.invalid(f"Unable to find account by name {name} in domain with specified id")
        if not self.may_touch(account):
            raise errors.no_permission()
        return account

    def scope(self) -> Callable[[Account], bool]:
        """Return which accounts' things a list call shows (AccountManagerImpl.buildACLSearchParameters).

        The caller's; those of an account or a domain that is named; of an administrator that asks for all, or by id,
        whatever it may touch.
        """
        domain = self.domain()
        named = self._named(domain)
        if self.text("projectid"):
            return self.project_scope()
        if named is not None:
            return lambda account: account is named
        own = self.caller.role == "user" or (domain is None and not (self.flag("listall") or self.text("id")))
        if own:
            return lambda account: account is self.caller
        with_projects = bool(self.text("id"))
        if domain is None:
            return lambda account: self.may_touch(account) and (with_projects or account.project is None)
        deep = self.flag("isrecursive")
        return lambda account: (
            (domain is account.domain or (deep and domain.holds(account.domain)))
            and (with_projects or account.project is None)
        )

    def project(self) -> Project | None:
        """Return the project that a call names; raises ApiError 531 where the caller must not use it."""
        project = None if self.text("projectid") == EVERY_PROJECT else self.entity("projectid", Project)
        if project is not None and project.removed:
            raise errors.invalid("Unable to find project by specified id")
        if project is not None and not self.may_touch(project.account):
            text = f"Account {self.caller.name} can't access project id={project.uuid}"
            raise errors.ApiError(531, text, errors.DENIED)
        return project

    def project_scope(self) -> Callable[[Account], bool]:
        """Return what a list shows of a project, or of all that the caller is in; with listall its own as well."""
        project, with_all = self.project(), self.flag("listall")
        if project is not None:
            return lambda account: account is project.account
        everything = with_all and self.caller.is_root
        return lambda account: (
            everything or (self.may_touch(account) if account.project else with_all and account is self.caller)
        )

    def domain(self) -> Domain | None:
        """Return the domain that a list call names; raises ApiError 531 where the caller must not look into it."""
        domain = self.entity("domainid", Domain)
        mine = self.caller.domain
        if domain is not None and domain is not mine and (self.caller.role == "user" or not mine.holds(domain)):
            text = f"Account {self.caller.name} does not have access to domain {domain.name}"
            raise errors.ApiError(531, text, errors.DENIED)
        return domain

    def _named(self, domain: Domain | None) -> Account | None:
        """Return the account that a list call names, in that domain or the caller's own."""
        name, home = self.text("account"), domain or self.caller.domain
        if name is None:
            return None
        if self.text("projectid"):
            raise errors.invalid("Account and projectid can't be specified together")
        account = self.zone.account_named(name, home)
        if account is None:
            raise errors.invalid(f"could not find account {name} in domain {home.name}")
        if not self.may_touch(account):
            raise errors.no_permission()
        return account

    def listing(self, name: str, rows: Sequence[Json]) -> Json:
        """Return a list answer: the page asked for, else the first. A page without rows has no list."""
        page, size = self.page()
        shown = () if self.flag("retrieveonlyresourcecount") else rows[(page - 1) * size : page * size]
        return ({"count": len(rows)} if rows else {}) | ({name: list(shown)} if shown else {})

    def page(self) -> tuple[int, int]:
        """Return which page is wanted, from 1, and how many rows it has; less than none is as many as there are."""
        size = self.number("pagesize") or MAX_PAGE_SIZE
        return max(1, self.number("page") or 1), sys.maxsize if size < 0 else size
