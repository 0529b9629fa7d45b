"""Serve the built web app on this machine, as any static web server could."""

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from train.errors import LesionliteError

SITE = "site"  # what the app's build makes inside its folder
HOST = "localhost"  # browsers give camera and service worker to it without https


class Handler(SimpleHTTPRequestHandler):
    """Files with the types that browsers insist on, isolated so that wasm may use threads."""

    extensions_map = {
        **SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
        ".webmanifest": "application/manifest+json",
    }

    def end_headers(self) -> None:
        """Add the headers of cross-origin isolation, without which there are no shared buffers."""
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def list_directory(self, path: Any) -> None:
        """A folder without index.html is not there."""
        self.send_error(404)

    def log_message(self, format: str, *args: Any) -> None:
        """No line for every file."""


def open_server(app: Path, port: int) -> ThreadingHTTPServer:
    """A server of `app`/site that listens on this machine alone; `serve_forever` runs it.

    Args:
        app: what `lesionlite embed --app web` filled, and its build completed.
        port: 0 takes any that is free.

    Raises:
        LesionliteError: no such folder, not built yet, or the port is taken.
    """
    site = app / SITE
    if not app.is_dir():
        raise LesionliteError(f"there is no folder {app}")
    if not (site / "index.html").is_file():
        raise LesionliteError(
            f"{app} holds no built page ({SITE}/index.html); run `npm ci && npm run build` in it"
        )
    try:
        return ThreadingHTTPServer((HOST, port), partial(Handler, directory=str(site)))
    except (OSError, OverflowError) as error:
        raise LesionliteError(
            f"port {port} cannot be used ({error}); choose another --port, 0 takes a free one"
        ) from error
