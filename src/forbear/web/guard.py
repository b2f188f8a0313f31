"""What every answer of the console carries, and what no answer or log of it lets out. An ASGI wrapper."""

import logging
import traceback
from urllib.parse import parse_qsl

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("forbear.web")

#: The names by which this machine calls itself. Asking for the name as well as the address keeps out
#: a page of another site that had its own name point at 127.0.0.1 (DNS rebinding).
LOOPBACK = ("127.0.0.1", "[::1]", "localhost")
ANY = ("*",)

#: Scripts, styles and all else come from this host and from files, never from the page itself. Vega's
#: SVG sets style attributes, which can fetch nothing under this policy: hence that one exception.
HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "style-src-attr 'unsafe-inline'",
            "img-src 'self'",
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Guard:
    """Wraps the application: known hosts only, the headers on every answer, faults logged without values."""

    def __init__(self, app: ASGIApp, hosts: tuple[str, ...]) -> None:
        self._app = TrustedHostMiddleware(app, allowed_hosts=list(hosts), www_redirect=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Our own files hold nothing of anybody's; all else is kept nowhere.
        kept = "no-cache" if scope["path"].startswith("/static/") else "no-store"
        answered = False

        async def guarded(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS | {"Cache-Control": kept})
            await send(message)

        try:
            await self._app(scope, receive, guarded)
        except Exception as error:
            if not answered:
                raise
            # The page that says so went out already. A traceback may repeat values of rows: the place will do.
            place = traceback.extract_tb(error.__traceback__)[-1]
            log.error("%s at %s:%s", type(error).__name__, place.filename, place.lineno)


async def form(request: Request, most_bytes: int) -> dict[str, str]:
    """The fields of a form that was sent, the last of each name. Raises HTTPException for a longer body."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > most_bytes:
            raise HTTPException(413)
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
