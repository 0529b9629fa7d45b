"""The static server of the web app."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from export.serve import build_site, open_server, serving
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
    with serving(app) as address:
        yield address


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
    with pytest.raises(LesionliteError, match="lesionlite serve"):
        open_server(app, 0)


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only program there is: it notes what it is asked, and fails if its folder says so."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "npm").write_text(
        '#!/bin/sh\necho "$@" >> asked\n'
        "if [ -f broken ]; then echo 'npm warn old' >&2; echo 'npm error code E1' >&2; exit 1; fi\n"
        'if [ "$1" = ci ]; then /bin/mkdir node_modules; fi\n'
    )
    (folder / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return folder / "npm"


def test_packages_are_installed_once_and_the_page_built_each_time(app: Path, npm: Path) -> None:
    (app / "build.mjs").touch()
    build_site(app)
    build_site(app)
    assert (app / "asked").read_text().splitlines() == ["ci", "run build", "run build"]


def test_what_npm_says_is_told(app: Path, npm: Path) -> None:
    (app / "build.mjs").touch()
    (app / "broken").touch()
    with pytest.raises(LesionliteError, match="`npm ci` failed in .*npm error code E1"):
        build_site(app)


def test_without_npm_what_was_built_is_served(
    app: Path, npm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    npm.unlink()
    (app / "build.mjs").touch()
    build_site(app)
    assert "as it was built before" in capsys.readouterr().out
    (app / "site" / "index.html").unlink()
    with pytest.raises(LesionliteError, match="install Node.js 20"):
        build_site(app)


def test_folders_that_are_no_app(tmp_path: Path) -> None:
    with pytest.raises(LesionliteError, match="there is no folder"):
        build_site(tmp_path / "none")
    with pytest.raises(LesionliteError, match="lesionlite embed ARTIFACTS --app web"):
        build_site(tmp_path)
