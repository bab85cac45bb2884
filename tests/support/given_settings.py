"""Settings of a test's node: what the test gives, and nothing of the developer's environment.

Looking every setting up in the environment and in files takes Settings() 3.4 ms for each node.
"""

from __future__ import annotations

from typing import Any

from pydantic_settings import BaseSettings

from gateway.settings import Settings


class GivenSettings(Settings):
    """The product's settings, from arguments alone."""

    def __init__(self, **given: Any) -> None:
        super(BaseSettings, self).__init__(**given)  # validates, and asks no other source
