"""Sign-in on the page with an OpenID Connect provider (authorization code, PKCE).

sign_in = await open_sign_in(settings, stack, tokens=tokens, public_url=settings.public_url)
begun = await sign_in.begin("/conversations/17")            # redirect to begun.url
attempt = sign_in.attempt(cookie, state)                    # at the callback
session = await sign_in.finish(attempt, {"code": …})        # a cookie, from which tokens come
"""

from __future__ import annotations

from gateway.auth.oidc.attempts import Attempt
from gateway.auth.oidc.browser_sessions import BrowserSession
from gateway.auth.oidc.sign_in import Begun, SignIn, open_sign_in

__all__ = ["Attempt", "Begun", "BrowserSession", "SignIn", "open_sign_in"]
