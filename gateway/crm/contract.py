"""The contract with the CRM: its views, their columns, and what each is needed for.

comparison.py compares a database with it; db/crm_views.py has statements read nothing instead of a
view that is off. docs/crm-contract.md has the same tables; a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

ColumnType = Literal["bigint", "text", "boolean", "timestamptz"]

MAX_ID: Final = 2**53 - 1
"""The greatest id: JavaScript and JSON readers keep whole numbers only up to here."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a view."""

    name: str
    type: ColumnType = "text"
    null: bool = False
    optional: bool = False
    """Whether it may be missing: it is then as if it were NULL."""

    @property
    def is_id(self) -> bool:
        return self.type == "bigint"


@dataclass(frozen=True, slots=True)
class CrmView:
    """One view of the schema crm."""

    name: str
    columns: tuple[Column, ...]
    needed_for: str
    """What is off without it, as the end of a sentence."""
    read_by: str
    """The column by which the gateway reads it all the time, so that it has to be fast by it."""
    unique: tuple[str, ...] = ()
    """Two rows with the same values here are an error of the view."""
    required: bool = True
    """Whether it is an error that it is missing."""

    @property
    def full_name(self) -> str:
        return f"crm.{self.name}"

    @property
    def checked_name(self) -> str:
        """The name in statements of the check: unlike others, they read the view when it is off."""
        return f'"crm".{self.name}'

    @property
    def nothing(self) -> str:
        """A relation without rows that has the columns of this view."""
        columns = ", ".join(f"NULL::{one.type} AS {one.name}" for one in self.columns)
        return f"(SELECT {columns} WHERE false)"


EXTERNAL: Final = (
    Column("external_id", null=True, optional=True),
    Column("url", null=True, optional=True),
)
LABEL: Final = Column("label", null=True, optional=True)

WORK: Final = (
    Column("customer_id", "bigint"),
    Column("kind"),
    Column("id", "bigint"),
    Column("title"),
    Column("status"),
    Column("assigned_to", "bigint", null=True),
)

EMPLOYEES: Final = "employees"
"""The view without which nothing can be served: it says who somebody is."""

VIEWS: Final[tuple[CrmView, ...]] = (
    CrmView(
        EMPLOYEES,
        (
            Column("id", "bigint"),
            Column("name"),
            Column("department", null=True),
            Column("position", null=True),
            Column("avatar_url", null=True),
            Column("active", "boolean"),
            *EXTERNAL,
        ),
        needed_for="everything: nobody can sign in",
        read_by="id",
        unique=("id",),
    ),
    CrmView(
        "permissions",
        (Column("employee_id", "bigint"), Column("permission")),
        needed_for="permissions: nobody has any",
        read_by="employee_id",
    ),
    CrmView(
        "customers",
        (
            Column("id", "bigint"),
            Column("name"),
            Column("company", null=True),
            Column("owner_id", "bigint", null=True),
            *EXTERNAL,
        ),
        needed_for="customers: calls and call-back requests show none, numbers are not looked up",
        read_by="id",
        unique=("id",),
    ),
    CrmView(
        "customer_phones",
        (Column("customer_id", "bigint"), Column("number"), Column("e164", null=True)),
        needed_for="telephone numbers of customers: calls and call-back requests show no customer, "
        "numbers are not looked up",
        read_by="e164",
    ),
    CrmView(
        "open_work",
        (
            *WORK,
            Column("updated_at", "timestamptz"),
            LABEL,
            *EXTERNAL,
        ),
        needed_for="open work: customers are shown without it",
        read_by="customer_id",
        unique=("kind", "id"),
    ),
    CrmView(
        "extensions",
        (Column("source"), Column("extension"), Column("employee_id", "bigint")),
        needed_for="telephones of employees: calls are shown to nobody, statistics have no agents",
        read_by="employee_id",
    ),
    CrmView(
        "customer_emails",
        (Column("customer_id", "bigint"), Column("email")),
        needed_for="mail addresses of customers",
        read_by="customer_id",
        required=False,
    ),
    CrmView(
        "work_history",
        (
            *WORK,
            Column("created_at", "timestamptz"),
            Column("updated_at", "timestamptz"),
            Column("closed_at", "timestamptz", null=True),
            LABEL,
            *EXTERNAL,
        ),
        needed_for="work of the past",
        read_by="customer_id",
        unique=("kind", "id"),
        required=False,
    ),
    CrmView(
        "teams",
        (Column("id", "bigint"), Column("name"), EXTERNAL[0]),
        needed_for="teams",
        read_by="id",
        unique=("id",),
        required=False,
    ),
    CrmView(
        "team_members",
        (Column("team_id", "bigint"), Column("employee_id", "bigint")),
        needed_for="members of teams",
        read_by="team_id",
        unique=("team_id", "employee_id"),
        required=False,
    ),
    CrmView(
        "employee_contacts",
        (
            Column("employee_id", "bigint"),
            Column("email", null=True),
            Column("phone_e164", null=True),
            Column("locale", null=True),
            Column("time_zone", null=True),
        ),
        needed_for="addresses, languages and time zones of employees",
        read_by="employee_id",
        unique=("employee_id",),
        required=False,
    ),
    CrmView(
        "topic_readers",
        (Column("topic"), Column("employee_id", "bigint")),
        needed_for="topics that no permission opens: nobody may watch them",
        read_by="topic",
        required=False,
    ),
)

BY_NAME: Final = {view.name: view for view in VIEWS}
