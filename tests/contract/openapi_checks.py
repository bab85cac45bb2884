"""What Schemathesis checks beyond its own, loaded by it (SCHEMATHESIS_HOOKS).

A request that fits the schema may be refused for what JSON Schema cannot say: which of two fields
go together, what time it is, what a cursor was made for, what the operator set. Those refusals are
listed here. Any other is a constraint that the schema keeps to itself.
"""

from __future__ import annotations

import re
from typing import Any

import orjson
import schemathesis
from schemathesis import Case, CheckContext, Response
from schemathesis.checks import CHECKS

MEANT = {
    r"This cursor was not made by this list\.",
    r"Give one of before, after and around\.",
    r"Give before or after, not both\.",
    r"Give either employee_ids or department\.",
    r"Give employee_id alone, or title and employee_ids\.",
    r"A message needs a text, or a file\.",
    r"At most 366 days\.",
    r"At most [0-9]+ bytes\.",
    r"This gateway does not accept files of this type\.",
    r"must be at least a minute and at most a year from now",
    r"must be later than now and at most a year from now",
    r"needs a status or a text that ends then",
    r"Give title, avatar_url or history\.",
    r"List should have at most 500 items after validation, not [0-9]+",
    r"Text should have at least 1 character after validation, not 0",  # white space alone
    r"No file may be named twice\.",
    r"Send points if, and only if, the resolution is `changed`\.",
    r"Two criteria have the same key\.",
    r"Unknown time zone; .*",
    r"must be a country of ISO 3166 that has telephone numbers",
    r"until must be after since\.",
    r"Give session or keep, not both\.",
    r"A service account names an employee\.",
    r"A group needs an external_key\.",
    r"The title of a group is one line of 1 to 200 characters\.",
    r"A direct conversation has (two people|no title and no key: its people name it)\.",
    # Of texts where an id may be one: "0", and what somebody would read as another number, "1e3".
    r"Input should be greater than or equal to 1",
    r"Input should be less than or equal to 9223372036854775807",
    r"Input should be a valid integer, unable to parse string as an integer",
    r"Value error, must lie between 1970 and (2200|9999)",
    r"Value error, must not contain .*",
    r"Value error, must show something: .*",
}
"""Messages of refusals by meaning, as regular expressions; of 413, 415 and 422 alone."""

INTEGERS = "Input should be a valid integer"
"""JSON Schema's integers include 7.0; the gateway wants them without a fraction, and says so."""

_MEANT = re.compile("|".join({*MEANT, INTEGERS}))


@schemathesis.check
def what_fits_is_taken(ctx: CheckContext, response: Response, case: Case[Any]) -> bool | None:
    """Fail when a request that fits the schema is refused for a reason that is not in MEANT."""
    if response.status_code in {413, 415, 422} and _MEANT.fullmatch(_reason(response)):
        return None
    given: Any = CHECKS.get_one("positive_data_acceptance")
    found: bool | None = given(ctx, response, case)
    return found


def _reason(response: Response) -> str:
    try:
        return str(orjson.loads(response.content)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return ""
