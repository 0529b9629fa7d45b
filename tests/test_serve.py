"""The static server of the web app."""

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from export.serve import open_server
from train.errors import LesionliteError


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "site" / "empty").mkdir(parents=True)
    for name in ("index.html", "a.js", "a.mjs", "a.wasm", "app.webmanifest"):
        (tmp_path / "site" / name).write_text(name)
    (tmp_path / "secret").write_text("")
    return tmp_path


@pytest.fixture
def address(app: Path) -> Iterator[str]:
    with open_server(app, 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("", "text/html"),
        ("a.js", "text/javascript"),
        ("a.mjs", "text/javascript"),
        ("a.wasm", "application/wasm"),
        ("app.webmanifest", "application/manifest+json"),
    ],
)
def test_types_and_isolation(address: str, name: str, kind: str) -> None:
    with urllib.request.urlopen(f"{address}/{name}") as answer:
        assert answer.headers["Content-Type"] == kind
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        assert answer.read().decode() == (name or "index.html")


@pytest.mark.parametrize("path", ["../secret", "%2e%2e/secret", "empty/", "nothing"])
def test_nothing_but_the_site(address: str, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{address}/{path}")


def test_only_this_machine(app: Path) -> None:
    with open_server(app, 0) as server:
        assert server.server_address[0] == "127.0.0.1"


def test_what_is_not_there_or_in_the_way(app: Path, tmp_path: Path) -> None:
    with pytest.raises(LesionliteError, match="there is no folder"):
        open_server(tmp_path / "none", 0)
    with open_server(app, 0) as server, pytest.raises(LesionliteError, match="choose another"):
        open_server(app, server.server_port)
    with pytest.raises(LesionliteError, match="port 70000 cannot be used"):
        open_server(app, 70000)
    (app / "site" / "index.html").unlink()
    with pytest.raises(LesionliteError, match="npm ci"):
        open_server(app, 0)
