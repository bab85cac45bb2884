"""What every error has: a stable code, an HTTP status, and optionally a time to wait."""

from __future__ import annotations

from typing import ClassVar


class GatewayError(Exception):
    """An unexpected error in the gateway; it was logged."""

    code: ClassVar[str] = "internal"
    http_status: ClassVar[int] = 500

    retry_after: float | None = None
    """Seconds after which trying again makes sense; None when it does not."""

    path: str | None = None
    """The field that is wrong, with dots and brackets: `resume.17`, `[3].text`."""

    @property
    def detail(self) -> str:
        """What happened this time, or what this error means in general."""
        return str(self) or (type(self).__doc__ or self.code).strip()


def catalogue() -> list[type[GatewayError]]:
    """Return every error class, sorted by code."""

    def below(cls: type[GatewayError]) -> list[type[GatewayError]]:
        return [cls, *(found for child in cls.__subclasses__() for found in below(child))]

    return sorted(below(GatewayError), key=lambda cls: cls.code)
