"""Who may speak to the review: a browser on this machine that was given the link, and no other page in it."""

import hashlib
import secrets
from collections.abc import Iterable
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN_KEY = "token"  # noqa: S105 - the name of the parameter, and no token
MOST_BYTES = 8 * 2**20
"""A request is not longer: a text has at most a few hundred thousand letters."""

HOSTS = frozenset({"127.0.0.1", "localhost"})
"""Names the server is called by. A page elsewhere can make its own name lead to 127.0.0.1, but not change what it is called."""

_READING = frozenset({"GET", "HEAD"})
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
}
_DOORSTEP = (
    '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url=/"><title>ocrtune review</title>'
    '<link rel="icon" href="/page/icon.svg"><p><a href="/">Open the review</a></p>'
)
_NO_LINK = (
    '<!doctype html><meta charset="utf-8"><title>ocrtune review</title>'
    "<p>Open the link that <code>ocrtune review</code> printed last: it holds the token without which nothing is shown.</p>"
)


class Guard:
    """Lets through to `app` what comes from the review's own page.

    The link's token becomes a cookie, which no script can read and no other site can make the browser send. A request
    that changes something must say that it comes from the review's own page, by `Origin`.

    Args:
        app: What is guarded.
        token: What the link holds.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token
        # Cookies know no ports: two reviews on one machine must not take each other's.
        self._cookie = f"ocrtune-review-{hashlib.sha256(token.encode()).hexdigest()[:12]}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let it through."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            return None  # nothing else is spoken here
        headers = Headers(scope=scope)
        answer = self._refusal(scope, headers) or self._welcome(scope, headers)
        return await (answer or self._app)(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """Why a request is refused before anybody asks for its token."""
        if _host_name(headers.getlist("host")) not in HOSTS:
            return PlainTextResponse("this is not the host you mean", 400)
        if headers.get("sec-fetch-site") == "cross-site" and scope["path"] != "/":
            return PlainTextResponse("other pages have no business here", 403)
        if scope["method"] in _READING:
            return None
        if headers.get("origin") != f"http://{headers['host']}":
            return PlainTextResponse("other pages have no business here", 403)
        return _body_refusal(headers)

    def _welcome(self, scope: Scope, headers: Headers) -> Response | None:
        """The answer to a link, or to whoever has none; None for those who have been let in."""
        given = parse_qs(scope["query_string"].decode("latin-1")).get(TOKEN_KEY, [])
        is_link = scope["path"] == "/" and scope["method"] in _READING and self._is_token(given)
        if not is_link:
            is_known = self._is_token(_cookies(headers.getlist("cookie"), self._cookie))
            return None if is_known else HTMLResponse(_NO_LINK, 403)
        # Not a redirect: a browser that came by a link elsewhere would follow it without the cookie.
        answer = HTMLResponse(_DOORSTEP, headers={"cache-control": "no-store"})
        answer.set_cookie(self._cookie, self._token, httponly=True, samesite="strict", path="/")
        return answer

    def _is_token(self, given: Iterable[str]) -> bool:
        return any(secrets.compare_digest(each.encode(), self._token.encode()) for each in given)


def _host_name(hosts: list[str]) -> str:
    try:
        return urlsplit(f"//{hosts[0]}").hostname or "" if len(hosts) == 1 else ""
    except ValueError:
        return ""


def _body_refusal(headers: Headers) -> Response | None:
    if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return PlainTextResponse("the body must be JSON", 415)
    length = headers.get("content-length", "")
    if not length.isascii() or not length.isdecimal():
        return PlainTextResponse("the length of the body must be told", 411)
    return PlainTextResponse("the body is too long", 413) if int(length) > MOST_BYTES else None


def _cookies(lines: list[str], name: str) -> list[str]:
    pairs = (pair.strip().partition("=") for line in lines for pair in line.split(";"))
    return [value for key, _, value in pairs if key == name]


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return send_with_headers
