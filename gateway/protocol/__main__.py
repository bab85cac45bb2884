"""`python -m gateway.protocol` writes everything that is generated from the wire types."""

from __future__ import annotations

from gateway.protocol import javascript, reference


def main() -> None:
    """Write web/sdk/protocol.js, and the tables of docs/protocol.md where there are docs."""
    javascript.PATH.write_text(javascript.render(), encoding="utf-8")
    if reference.PATH.exists():  # an installed package has no docs
        page = reference.PATH.read_text(encoding="utf-8")
        reference.PATH.write_text(reference.render(page), encoding="utf-8")


if __name__ == "__main__":
    main()
