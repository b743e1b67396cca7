"""The application on a port of this machine, until somebody stops it."""

import secrets
import socket
from collections.abc import Callable

import uvicorn

from ocrtune.errors import ReviewError
from ocrtune.review.guard import TOKEN_KEY
from ocrtune.review.opening import Review
from ocrtune.review.server import create_app

ADDRESS = "127.0.0.1"


def serve_review(review: Review, *, port: int = 0, told: Callable[[str], None]) -> None:
    """Serve a review to browsers on this machine; returns when the process is interrupted.

    Args:
        review: What is served.
        port: On which port; for 0 the one of the last time if it is free, for browsers keep under it what they could not
            send, or any free one.
        told: Called with the link, which holds the token, when the port is open.

    Raises:
        ReviewError: The port is taken.
    """
    token = secrets.token_urlsafe(32)
    with _listen(port) if port else _listen_again(review) as listener:
        review.store.remember("port", str(listener.getsockname()[1]))
        config = uvicorn.Config(
            create_app(review, token),
            log_level="warning",
            access_log=False,
            server_header=False,
            ws="none",
            lifespan="off",
            timeout_graceful_shutdown=3,
        )
        told(f"http://{ADDRESS}:{listener.getsockname()[1]}/?{TOKEN_KEY}={token}")
        try:
            uvicorn.Server(config).run(sockets=[listener])
        except KeyboardInterrupt:
            return  # how it is meant to be stopped


def _listen_again(review: Review) -> socket.socket:
    try:
        return _listen(int(review.store.recall("port") or 0))
    except ReviewError:
        return _listen(0)


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((ADDRESS, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise ReviewError(
            f"port {port} cannot be used: {error.strerror}", hint="leave --port out: a free one is taken"
        ) from error
    return listener
