"""The static server of the web app."""

import os
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from lesionlite.errors import LesionliteError
from lesionlite.mobile_app_stub.serve import build_site, open_server, serving


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


def ask(address: str, line: str, *headers: str) -> tuple[int, bytes]:
    """Status and body of what a raw request gets."""
    port = int(address.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        lines = [line, *headers, "Connection: close", "", ""]
        connection.sendall("\r\n".join(lines).encode("latin-1"))
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def test_links_lead_nowhere_but_inside(app: Path, address: str) -> None:
    site = app / "site"
    (site / "out.txt").symlink_to(app / "secret")
    (site / "outside").symlink_to(app)
    (site / "linked").mkdir()
    (site / "linked" / "index.html").symlink_to(app / "secret")
    (site / "circle").symlink_to(site / "circle")
    (site / "inside.js").symlink_to(site / "a.js")
    os.mkfifo(site / "pipe")
    host = "Host: " + address.removeprefix("http://")
    for path in ("out.txt", "outside/secret", "outside/", "linked/", "circle", "pipe", "x" * 5000):
        for method in ("GET", "HEAD"):
            assert ask(address, f"{method} /{path} HTTP/1.0", host)[0] == 404, path
    assert ask(address, "GET /inside.js HTTP/1.0", host) == (200, b"a.js")


def test_other_hosts_are_refused(address: str) -> None:
    port = address.rsplit(":", 1)[1]
    for good in (f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}", f"LOCALHOST:{port}"):
        assert ask(address, "GET /a.js HTTP/1.1", f"Host: {good}") == (200, b"a.js")
        assert ask(address, "HEAD /a.js HTTP/1.1", f"Host: {good}") == (200, b"")
    for bad in (
        "evil.example",
        f"evil.example:{port}",
        "localhost",
        "localhost:1",
        "",
        "localhost.",
    ):
        for method in ("GET", "HEAD"):
            assert ask(address, f"{method} /a.js HTTP/1.1", f"Host: {bad}")[0] == 421, bad
    assert ask(address, "GET /a.js HTTP/1.0")[0] == 421
    two = (f"Host: localhost:{port}", "Host: evil.example")
    assert ask(address, "GET /a.js HTTP/1.1", *two)[0] == 421


def test_what_is_no_path_is_said_without_a_traceback(
    address: str, capfd: pytest.CaptureFixture[str]
) -> None:
    host = "Host: " + address.removeprefix("http://")
    assert ask(address, "GET /%00 HTTP/1.1", host)[0] == 400
    assert ask(address, "GET /a.js%00.png HTTP/1.1", host)[0] == 400
    for odd in ("%ED%A0%80", "%FF%FE", "%", "%zz", "?", "#", "//", "\\..\\secret", "*"):
        assert ask(address, f"GET /{odd} HTTP/1.1", host)[0] in (200, 400, 404), odd
    assert ask(address, "GET /a b HTTP/1.1", host)[0] == 400
    port = int(address.rsplit(":", 1)[1])
    for _ in range(3):  # hangs up before the answer, as browsers do
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.sendall(f"GET /a.js HTTP/1.1\r\n{host}\r\n\r\n".encode())
    assert ask(address, "GET /a.js HTTP/1.1", host)[0] == 200
    assert capfd.readouterr() == ("", "")


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
        'if [ "$1" = ci ]; then /bin/mkdir -p node_modules; fi\n'
        "if [ -f interrupted ]; then exit 1; fi\n"
    )
    (folder / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return folder / "npm"


def test_packages_are_installed_once_and_the_page_built_each_time(app: Path, npm: Path) -> None:
    (app / "build.mjs").touch()
    (app / "package-lock.json").write_text("{}")
    build_site(app)
    build_site(app)
    assert (app / "asked").read_text().splitlines() == ["ci", "run build", "run build"]


def test_an_interrupted_installation_and_another_lock_are_installed_again(
    app: Path, npm: Path
) -> None:
    (app / "build.mjs").touch()
    (app / "package-lock.json").write_text("{}")
    (app / "interrupted").touch()
    with pytest.raises(LesionliteError, match="`npm ci` failed"):
        build_site(app)
    assert (app / "node_modules").is_dir()
    (app / "interrupted").unlink()
    build_site(app)
    (app / "package-lock.json").write_text('{"other": 1}')
    build_site(app)
    build_site(app)
    asked = (app / "asked").read_text().splitlines()
    assert asked == ["ci", "ci", "run build", "ci", "run build", "run build"]


def test_an_app_without_packages_is_built(app: Path, npm: Path) -> None:
    npm.write_text(npm.read_text().replace("/bin/mkdir -p node_modules", ":"))  # as npm does then
    (app / "build.mjs").touch()
    (app / "package-lock.json").write_text("{}")
    build_site(app)
    build_site(app)
    assert (app / "asked").read_text().splitlines() == ["ci", "run build", "run build"]


def test_without_a_lock_the_packages_are_the_developers(app: Path, npm: Path) -> None:
    (app / "build.mjs").touch()
    (app / "node_modules").mkdir()
    build_site(app)
    assert (app / "asked").read_text().splitlines() == ["run build"]


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
    assert "that was built before" in capsys.readouterr().out
    (app / "site" / "index.html").unlink()
    with pytest.raises(LesionliteError, match="install Node.js 20"):
        build_site(app)


def test_folders_that_are_no_app(tmp_path: Path) -> None:
    with pytest.raises(LesionliteError, match="there is no folder"):
        build_site(tmp_path / "none")
    with pytest.raises(LesionliteError, match="lesionlite embed ARTIFACTS --app web"):
        build_site(tmp_path)
