"""Fixtures of the chat tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.desk import Desk


@pytest.fixture
async def file_desk(empty_desk: Desk, tmp_path: Path) -> Desk:
    """Give a desk whose one node keeps files in a directory."""
    await empty_desk.start_node(files_dir=tmp_path / "files", file_sweep_s=0.05)
    return empty_desk
