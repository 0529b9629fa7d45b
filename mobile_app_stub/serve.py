"""Build the web app and serve it; any static web server can do the same."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from filecmp import cmp
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, cast

from lesionlite.console import say
from lesionlite.errors import LesionliteError
from lesionlite.files import need_folder
from lesionlite.mobile_app_stub.lan import Certificate

SITE = "site"  # folder that the app's build writes
SCRIPT = "build.mjs"  # builds the app
LOCK = "package-lock.json"
INSTALLED = f"node_modules/.installed-{LOCK}"  # the lock file whose packages are all installed
HOST = "localhost"  # where browsers allow camera and service worker without https
NAMES = (HOST, "127.0.0.1", "[::1]")
HTTP_PORT, HTTPS_PORT = 80, 443  # browsers omit them from the address
PATIENCE = 60  # seconds in which a machine of the network must ask something


class Server(ThreadingHTTPServer):
    """Ignores broken connections, because browsers often close them.

    Attributes:
        certificate: for https, to machines of the network; None serves this machine by http.
    """

    certificate: Certificate | None = None

    # Python's 5 are fewer than a browser opens at once. If this machine is slow to accept them, the
    # system drops the others, and tries again only after seconds.
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print every other error."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class Handler(SimpleHTTPRequestHandler):
    """Serves files with the types that browsers require, and isolated, so wasm may use threads.

    It serves only regular files below the folder, and only to pages of this machine, or by https of
    the addresses in its certificate. With DNS rebinding, another site's name may resolve to this
    machine; then its name is in the Host header, and the request is refused.
    """

    extensions_map = {
        **SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
        ".webmanifest": "application/manifest+json",
    }

    def send_head(self) -> Any:
        """The open file for GET and HEAD, or None after sending an error."""
        if not self._names_this_server():
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
            return None
        try:
            status = None if self._is_inside() else HTTPStatus.NOT_FOUND
        except (OSError, RuntimeError):  # the path is too long, or links form a circle
            status = HTTPStatus.NOT_FOUND
        except ValueError:  # it is no path: NUL, or a truncated character
            status = HTTPStatus.BAD_REQUEST
        if status is None:
            return super().send_head()
        self.send_error(status)
        return None

    def _names_this_server(self) -> bool:
        server = cast(Server, self.server)
        port, shown = server.server_port, server.certificate
        names, usual = (shown.names, HTTPS_PORT) if shown else (NAMES, HTTP_PORT)
        here = {f"{name}:{port}" for name in names} | (set(names) if port == usual else set())
        given = self.headers.get_all("Host", [])
        return len(given) == 1 and given[0].strip().lower() in here

    def _is_inside(self) -> bool:
        """Whether the response would be a regular file or a folder, and inside the folder."""
        folder = Path(self.directory).resolve()
        asked = Path(self.translate_path(self.path))
        for place in (asked, *(asked / name for name in ("index.html", "index.htm"))):
            found = place.resolve()
            if not found.is_relative_to(folder) or not (
                found.is_dir() or found.is_file() or not found.exists()
            ):
                return False
        return True

    def end_headers(self) -> None:
        """Add the headers for cross-origin isolation, which shared buffers require."""
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def list_directory(self, path: Any) -> None:
        """Answer 404 for a folder without index.html."""
        self.send_error(404)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


def build_site(app: Path) -> None:
    """Run the app's build, so that the page is up to date with the app's folder.

    This first installs the app's npm packages, unless they are those of its lock file. Without npm,
    it keeps a page that was built before.

    Raises:
        LesionliteError: there is no such folder or no web app in it, npm is not installed, or npm
            fails; then the error quotes npm.
    """
    need_folder(app)
    if not (app / SCRIPT).is_file():
        raise LesionliteError(
            f"{app} holds no web app ({SCRIPT} is missing); make one with "
            "`lesionlite embed ARTIFACTS --app web --out APP`"
        )
    if shutil.which("npm") is None:
        if (app / SITE / "index.html").is_file():
            say("npm is not installed: serving the page that was built before")
            return
        raise LesionliteError(
            f"{app} needs npm to be built, which is not installed; install Node.js 20 or newer"
        )
    if not _is_installed(app):
        say("installing the app's npm packages")
        _npm(app, "ci")
        (app / INSTALLED).parent.mkdir(exist_ok=True)  # npm makes none for an app without packages
        shutil.copy(app / LOCK, app / INSTALLED)
    _npm(app, "run", "build")


def _is_installed(app: Path) -> bool:
    """Whether all packages of the lock file were installed; an interrupted `npm ci` leaves some.

    Without a lock file, the packages are the developer's own affair.
    """
    if not (app / LOCK).is_file():
        return (app / "node_modules").is_dir()
    return (app / INSTALLED).is_file() and cmp(app / LOCK, app / INSTALLED, shallow=False)


def _npm(app: Path, *arguments: str) -> None:
    done = subprocess.run(["npm", *arguments], cwd=app, capture_output=True, text=True)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in said if "error" in line.lower()] or said or ["no message"]
        raise LesionliteError(
            f"`npm {' '.join(arguments)}` failed in {app} ({errors[0].strip()}); run it there to "
            "see more"
        )


def built_site(app: Path) -> Path:
    """The folder of the built page of an app.

    Raises:
        LesionliteError: there is none.
    """
    need_folder(app)
    if not (app / SITE / "index.html").is_file():
        raise LesionliteError(
            f"{app} holds no built page ({SITE}/index.html); run `lesionlite serve {app}`"
        )
    return app / SITE


def open_server(app: Path, port: int, certificate: Certificate | None = None) -> Server:
    """A server of the app's page; `serve_forever` runs it.

    Args:
        app: folder of a web app that was built.
        port: port to listen on; 0 takes a free one.
        certificate: serves by https on all IPv4 addresses; None serves this machine only.

    Raises:
        LesionliteError: there is no such folder, the app was not built, or the port is in use.
    """
    site = built_site(app)
    try:
        server = Server(("0.0.0.0" if certificate else HOST, port), _handler(site, certificate))
    except (OSError, OverflowError) as error:
        raise LesionliteError(
            f"port {port} cannot be used ({error}); choose another --port, 0 takes a free one"
        ) from error
    if certificate:
        server.certificate = certificate
        # Shake hands in the thread of a connection: a silent one must not keep the others out.
        server.socket = certificate.context().wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    return server


def _handler(site: Path, certificate: Certificate | None) -> Any:
    handler = type("Handler", (Handler,), {"timeout": PATIENCE if certificate else None})
    return partial(handler, directory=str(site))


def address_of(server: Server) -> str:
    """The address for a browser."""
    if server.certificate:
        return f"https://{server.certificate.names[0]}:{server.server_port}"
    return f"http://{HOST}:{server.server_port}"


@contextmanager
def serving(app: Path, certificate: Certificate | None = None) -> Iterator[str]:
    """A context in which a thread serves the app's page; it gives the address.

    Raises:
        LesionliteError: as `open_server`.
    """
    with open_server(app, 0, certificate) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield address_of(server)
        finally:
            server.shutdown()
            thread.join()
