"""The REST API does what its OpenAPI document says: a short run of tests.contract.openapi."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
import pytest

from tests.contract import openapi

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

DAYS: dict[str, Any] = {"name": "days", "in": "query", "schema": {"type": "integer"}}
REFUSAL = {"422": {"description": "wrong"}}
DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "Small", "version": "1"},
    "paths": {
        "/v1/days": {
            "get": {
                "parameters": [DAYS],
                "responses": {"200": {"description": "Done"}, **REFUSAL},
            }
        }
    },
}


@contextmanager
def refusing(message: str) -> Iterator[str]:
    """Serve DOCUMENT, and refuse every `days` with these words; give the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path == "/openapi.json"
            body = orjson.dumps(DOCUMENT if known else {"error": {"message": message}})
            self.send_response(200 if known else 422 if "days=" in self.path else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def test_every_operation_does_what_is_written(capfd: pytest.CaptureFixture[str]) -> None:
    """A few requests of each kind, allowed ones and others: nothing differs from the document."""
    status = openapi.main(["--examples", "3", "--seed", "1", "--phases", "fuzzing"])

    assert status == 0, capfd.readouterr().out


@pytest.mark.parametrize(
    ("message", "status"), [("At most 366 days.", 0), ("Not on Sundays.", 1)], ids=["meant", "not"]
)
def test_a_refusal_that_the_document_does_not_tell_of_is_a_failure(
    message: str, status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """What fits the schema may be refused only for what no schema can say."""
    with refusing(message) as url:
        found = openapi.schemathesis(url, "", examples=5, seed=1, phases="fuzzing")

    assert found == status, capfd.readouterr().out
