"""What a person sees when a sign-in with the provider does not succeed.

rest/sign_in.py ─▶ refusal(). Nothing of the request is in it but the route of the page, which has
its own alphabet.
"""

from __future__ import annotations

from html import escape
from urllib.parse import urlencode

from fastapi import Response

from gateway.auth.oidc import SignIn
from gateway.errors import GatewayError
from gateway.rest.errors import body

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)

PAGE = """\
<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>Sign-in failed</title>
    <link rel="icon" href="{base}/icon.svg" type="image/svg+xml">
    <link rel="stylesheet" href="{base}/page.css">
  </head>
  <body>
    <main class="sign-in">
      <h1>You are not signed in</h1>
      <p class="error" role="alert">{text}</p>
      <p class="muted">If it happens again, tell your administrator this code: {code}</p>
      <p><a class="button" href="{again}">Try again</a> <a href="{base}/">Back to the page</a></p>
    </main>
  </body>
</html>
"""


def refusal(sign_in: SignIn, error: GatewayError, *, route: str = "") -> Response:
    """Return a page that names what was refused, with a stable code."""
    query = f"?{urlencode({'return': route})}" if route else ""
    text = PAGE.format(
        base=escape(sign_in.public_url),
        text=escape(error.detail),
        code=escape(error.code),
        again=escape(f"{sign_in.public_url}/v1/sign-in{query}"),
    )
    headers = {"Content-Security-Policy": POLICY}
    if wait := body(error).headers.get("retry-after"):
        headers["Retry-After"] = wait
    return Response(text, error.http_status, headers, media_type="text/html")
