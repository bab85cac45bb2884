"""`python -m gateway.protocol` writes everything that is generated from the wire types."""

from __future__ import annotations

import subprocess
import sys

from gateway.protocol import exports, javascript, reference


def main() -> None:
    """Write __init__.py, web/sdk/protocol.js, and the tables of docs/protocol.md if present."""
    current = exports.render()
    if exports.PATH.read_text(encoding="utf-8") != current:
        exports.PATH.write_text(current, encoding="utf-8")
        # This process has imported the old one: the tables lack what was added.
        subprocess.run([sys.executable, "-m", "gateway.protocol"], check=True)
        return
    javascript.PATH.write_text(javascript.render(), encoding="utf-8")
    if reference.PATH.exists():  # an installed package has no docs
        page = reference.PATH.read_text(encoding="utf-8")
        reference.PATH.write_text(reference.render(page), encoding="utf-8")


if __name__ == "__main__":
    main()
