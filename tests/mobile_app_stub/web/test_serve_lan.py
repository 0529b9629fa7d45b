"""The web app by https, for a phone in the same network; by default no other machine gets in."""

import base64
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import pytest

from lesionlite.benchmark.elsewhere.page import BROWSERS, chromium
from lesionlite.errors import LesionliteError
from lesionlite.mobile_app_stub import lan
from lesionlite.mobile_app_stub.lan import Certificate, certificate, lan_names
from lesionlite.mobile_app_stub.serve import PATIENCE, open_server, serving
from tests.mobile_app_stub.web.web_page import READY, says
from tests.paths import ROOT

NAMES = ("127.0.0.1", "phone.test", "localhost")


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "app" / "site").mkdir(parents=True)
    (tmp_path / "app" / "site" / "index.html").write_text("the page")
    return tmp_path / "app"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("lesionlite.mobile_app_stub.lan.cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache" / "lan"


@pytest.fixture
def shown(cache: Path) -> Certificate:
    return certificate(NAMES)


@pytest.fixture
def address(app: Path, shown: Certificate) -> Iterator[str]:
    with serving(app, shown) as address:
        yield address


def ask(
    address: str, trusted: Path | None, host: str | None = None, name: str = "localhost"
) -> tuple[int, bytes]:
    """Status and body of what a client gets that trusts a certificate, and calls us `name`."""
    port = int(address.rsplit(":", 1)[1])
    context = ssl.create_default_context(cafile=trusted)
    client = HTTPSConnection(name, port, timeout=20, context=context)
    raw = socket.create_connection(("127.0.0.1", port), timeout=20)
    client.sock = context.wrap_socket(raw, server_hostname=name)
    client.request("GET", "/", headers={"Host": host or f"{name}:{port}"})
    answer = client.getresponse()
    body = answer.read()
    client.close()
    return answer.status, body


def test_a_client_that_trusts_the_certificate_gets_the_page(
    address: str, shown: Certificate
) -> None:
    assert address.startswith("https://127.0.0.1:")
    for name in NAMES:
        assert ask(address, shown.path, name=name) == (200, b"the page")
    with pytest.raises(ssl.SSLCertVerificationError, match="self-signed"):
        ask(address, None)
    with pytest.raises(ssl.SSLCertVerificationError, match="not valid for 'other.test'"):
        ask(address, shown.path, name="other.test")


def test_another_host_is_refused(address: str, shown: Certificate) -> None:
    port = address.rsplit(":", 1)[1]
    for host in ("evil.example", f"evil.example:{port}", "localhost", f"10.9.8.7:{port}"):
        assert ask(address, shown.path, host)[0] == 421, host
    assert ask(address, shown.path, f"PHONE.test:{port}")[0] == 200


def test_neither_silence_nor_http_keeps_others_out(address: str, shown: Certificate) -> None:
    port = int(address.rsplit(":", 1)[1])
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
    with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200" not in plain.recv(100)
    started = time.monotonic()
    assert ask(address, shown.path)[0] == 200
    assert time.monotonic() - started < PATIENCE / 2
    for connection in silent:
        connection.close()


def test_without_the_flag_no_other_address_listens(app: Path, shown: Certificate) -> None:
    elsewhere = "127.0.0.2"  # reaches whatever listens on all addresses, as a phone does
    for served, reached in ((None, False), (shown, True)):
        with open_server(app, 0, served) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                socket.create_connection((elsewhere, server.server_port), timeout=5).close()
                found = True
            except ConnectionRefusedError:
                found = False
            finally:
                server.shutdown()
                thread.join()
        assert found == reached


def test_the_certificate_is_kept_secret_short_lived_and_no_authority(
    shown: Certificate, cache: Path
) -> None:
    assert shown.path.parent == cache and shown.path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in cache.iterdir()] == [shown.path.name]
    asked = ["openssl", "x509", "-in", shown.path, "-noout", "-text", "-fingerprint", "-sha256"]
    text = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    for part in ("CA:FALSE", "TLS Web Server Authentication", "DNS:phone.test", shown.fingerprint):
        assert part in text
    assert "IP Address:127.0.0.1, DNS:phone.test, DNS:localhost\n" in text
    der = ssl.PEM_cert_to_DER_cert(text_of_certificate(shown.path))
    assert sha256(der).hexdigest() == shown.fingerprint.replace(":", "").lower()
    for seconds, valid in ((29 * 86400, True), (31 * 86400, False)):
        check = ["openssl", "x509", "-in", shown.path, "-noout", "-checkend", str(seconds)]
        assert (subprocess.run(check, capture_output=True).returncode == 0) == valid


def text_of_certificate(path: Path) -> str:
    text = path.read_text()
    return text[text.index("-----BEGIN CERTIFICATE") :]


def test_it_stays_the_same_until_it_cannot(
    shown: Certificate, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert certificate(NAMES) == shown
    other = certificate(("127.0.0.1", "localhost"))
    assert other.path != shown.path and other.fingerprint != shown.fingerprint
    prints = {shown.fingerprint}
    for damage in (
        lambda: shown.path.chmod(0o644),
        lambda: shown.path.write_text("no certificate"),
        lambda: shown.path.write_text(text_of_certificate(shown.path)),  # and no key
        lambda: monkeypatch.setattr(lan, "LEFT", 31 * 86400),  # as if it were to expire
    ):
        damage()
        again = certificate(NAMES)
        assert again.fingerprint not in prints
        assert again.path.stat().st_mode & 0o777 == 0o600
        prints.add(again.fingerprint)


def test_without_openssl_or_a_network_it_says_so(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path / "bin"))
        with pytest.raises(LesionliteError, match="needs the program openssl"):
            certificate(NAMES)
        (tmp_path / "bin" / "openssl").write_text("#!/bin/sh\necho 'no entropy' >&2; exit 1\n")
        (tmp_path / "bin" / "openssl").chmod(0o755)
        with pytest.raises(LesionliteError, match=r"`openssl req` failed \(no entropy\)"):
            certificate(NAMES)
    assert not cache.is_dir() or list(cache.iterdir()) == []
    monkeypatch.setattr(lan, "_outgoing_address", lambda: None)
    monkeypatch.setattr(lan, "_addresses_of_the_host_name", lambda: ["127.0.1.1"])
    with pytest.raises(LesionliteError, match="in no network"):
        lan_names()


def test_names_that_reach_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lan, "_outgoing_address", lambda: "192.0.2.7")
    monkeypatch.setattr(
        lan, "_addresses_of_the_host_name", lambda: ["127.0.1.1", "10.0.0.3", "192.0.2.7"]
    )
    for host, hosts in (
        ("Desk", ("desk", "desk.local")),
        ("desk.home.arpa", ("desk.home.arpa",)),
        ("a b,IP:0.0.0.0", ()),  # which would be another entry of the certificate
    ):
        monkeypatch.setattr(socket, "gethostname", lambda host=host: host)
        expected = ("192.0.2.7", "10.0.0.3", *hosts, "localhost", "127.0.0.1")
        assert lan_names() == expected


def key_of(path: Path) -> str:
    """SHA-256 of a certificate's key, as Chromium's flag takes it."""
    public = ["openssl", "x509", "-in", path, "-noout", "-pubkey"]
    text = subprocess.run(public, capture_output=True, check=True).stdout
    binary = ["openssl", "pkey", "-pubin", "-outform", "der"]
    der = subprocess.run(binary, input=text, capture_output=True, check=True).stdout
    return base64.b64encode(sha256(der).digest()).decode()


def test_the_page_by_https_on_an_address_of_the_network(
    web_app: Path, tmp_path: Path, photos: list[Path]
) -> None:
    if not any(map(shutil.which, BROWSERS)):
        pytest.skip("chromium is not installed; .ci/run installs it")
    try:
        (network, *_) = lan_names()
    except LesionliteError:
        pytest.skip("this machine is in no network")
    command = [sys.executable, "-m", "lesionlite", "serve", str(web_app), "--port", "0", "--json"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    with subprocess.Popen([*command, "--lan"], cwd=ROOT, env=env, **pipes) as server:
        try:
            said = []
            for line in iter(server.stderr.readline, ""):  # type: ignore[union-attr]
                said.append(line)
                if line.startswith("next:"):
                    break
            (address,) = re.findall(r"https://\S+", said[-1])
            assert address.startswith(f"https://{network}:")
            text = "".join(said)
            assert re.search(r"SHA-256 of the certificate: ([0-9A-F]{2}:){31}[0-9A-F]{2}\n", text)
            assert "nobody vouches" in text
            (kept,) = (tmp_path / "lesionlite" / "lan").glob("*.pem")
            with chromium(f"--ignore-certificate-errors-spki-list={key_of(kept)}") as browser:
                page = browser.new_page()  # of a browser that trusts the certificate
                page.goto(address)
                says(page, "status", READY)
                page.set_input_files("#file", photos[0])
                says(page, "status", "in the model")
                assert page.evaluate("isSecureContext && crossOriginIsolated")
                assert page.evaluate("navigator.serviceWorker.controller !== null")
            server.send_signal(signal.SIGINT)
            out, _ = server.communicate(timeout=30)
        finally:
            server.kill()
    assert server.returncode == 0 and json.loads(out)["address"] == address
