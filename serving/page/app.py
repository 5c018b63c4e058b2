"""The page as a web application."""

import json
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from serving.page.browser import LogBrowser, PageError

_LARGEST_BODY = 100_000
_HEADERS = {
    # What the page needs lies in it; nothing comes from elsewhere.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:",
    "X-Content-Type-Options": "nosniff",
}


def page_app(browser: LogBrowser) -> Starlette:
    """The page and what it asks for: `GET /`, `GET /api/users`, `POST /api/rank`.

    Its addresses are relative, so it can be mounted anywhere: `starlette.routing.Mount("/page", page_app(browser))`.

    Args:
        browser: `LogBrowser`.
    """
    html = files("serving.page").joinpath("index.html").read_text(encoding="utf-8")

    async def index(_: Request) -> Response:
        return HTMLResponse(html, headers=_HEADERS)

    async def users(_: Request) -> Response:
        return JSONResponse({"model": browser.ranker.schema.name, "users": browser.users()})

    async def rank(request: Request) -> Response:
        try:
            asked = await _body(request)
            return JSONResponse(await run_in_threadpool(browser.rank, asked["user"], asked.get("removed")))
        except PageError as error:
            return JSONResponse({"error": str(error)}, status_code=400)

    app = Starlette(
        routes=[
            Route("/", index),
            Route("/api/users", users),
            Route("/api/rank", rank, methods=["POST"]),
        ]
    )
    app.router.redirect_slashes = False  # a redirect would go to whatever the Host header says
    return app


async def _body(request: Request) -> dict[str, Any]:
    text = b""
    try:
        async for chunk in request.stream():
            text += chunk
            if len(text) > _LARGEST_BODY:
                raise PageError(f"the request is longer than {_LARGEST_BODY} bytes")
    except ClientDisconnect:
        raise PageError("the caller is gone") from None
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict) or not isinstance(body.get("user"), str):
        raise PageError('the request must be {"user": id, "removed": {sequence: [event, ...]}}')
    removed = body.get("removed") or {}
    if not isinstance(removed, dict) or not all(isinstance(events, list) for events in removed.values()):
        raise PageError(f"'removed' must be {{sequence: [event, ...]}}. Received: {removed!r:.80}")
    return body
