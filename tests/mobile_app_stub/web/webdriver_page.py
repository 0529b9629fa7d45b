"""The web app's page in three browsers, told what to do by each in its own protocol.

playwright, which drives Chromium, drives other browsers only in builds of its own. So Debian's
Firefox and WebKitGTK get the few W3C WebDriver commands that the tests need: WebKitGTK by HTTP from
its driver, Firefox by Marionette, the socket that geckodriver (which Debian lacks) talks to.
"""

import json
import os
import shutil
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from lesionlite.benchmark.elsewhere import page as chromium_page

PATIENCE = 60  # seconds to wait for what a page or a browser should do
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # W3C's key of a reference to an element
CAPABILITIES = {"timeouts": {"script": 1000 * PATIENCE}}
PATHS = {  # of WebDriver's commands by HTTP, below a session
    "Navigate": "/url",
    "ExecuteAsyncScript": "/execute/async",
    "FindElement": "/element",
    "ElementSendKeys": "/element/{id}/value",
}
# Runs the text of an async function's body, and tells a value from an error.
ASYNC = """const done = arguments[arguments.length - 1];
(async (...args) => {%s})(...arguments).then(
  (value) => done({ value }), (error) => done({ error: String(error) }));"""
TEXT = "return document.getElementById(args[0]).textContent"


class Page(ABC):
    """A page of a browser."""

    @abstractmethod
    def open(self, address: str) -> None:
        """Go to an address."""

    @abstractmethod
    def evaluate(self, body: str, *arguments: Any) -> Any:
        """What the body of an async JavaScript function returns; its arguments are `args`."""

    @abstractmethod
    def choose_file(self, path: Path) -> None:
        """Choose a photo, as a user of the file dialog does."""

    def text(self, part: str) -> str:
        """What a part of the page says now."""
        return str(self.evaluate(TEXT, part))

    def says(self, part: str, text: str) -> str:
        """Wait until a part of the page says this; all that it says."""
        until = time.monotonic() + PATIENCE
        while text not in (said := self.text(part)):
            if time.monotonic() > until:
                shown = {other: self.text(other) for other in ("status", "problem", "details")}
                raise AssertionError(f"{part} says {said!r}, not {text!r}; the page shows {shown}")
            time.sleep(0.05)
        return said


Visit = Callable[[], AbstractContextManager[Page]]
"""Opens a browser as somebody who was never there."""


class ChromiumPage(Page):
    """A page of playwright's."""

    def __init__(self, page: Any) -> None:
        self._page = page

    def open(self, address: str) -> None:
        with _told():
            self._page.goto(address)

    def evaluate(self, body: str, *arguments: Any) -> Any:
        with _told():
            return self._page.evaluate(f"async (args) => {{{body}}}", list(arguments))

    def choose_file(self, path: Path) -> None:
        self._page.set_input_files("#file", path)


@contextmanager
def _told() -> Iterator[None]:
    """Raise playwright's errors as those of the other browsers."""
    from playwright.sync_api import Error

    try:
        yield
    except Error as error:
        raise AssertionError(error.message) from error


class DrivenPage(Page):
    """A page that WebDriver's commands drive."""

    @abstractmethod
    def ask(self, command: str, **parameters: Any) -> Any:
        """Send a command, and return its value."""

    def open(self, address: str) -> None:
        self.ask("Navigate", url=address)

    def evaluate(self, body: str, *arguments: Any) -> Any:
        found = self.ask("ExecuteAsyncScript", script=ASYNC % body, args=list(arguments))
        if "error" in found:
            raise AssertionError(found["error"])
        return found.get("value")

    def choose_file(self, path: Path) -> None:
        found = self.ask("FindElement", using="css selector", value="#file")
        self.ask("ElementSendKeys", id=found[ELEMENT], text=str(path))


class MarionettePage(DrivenPage):
    """Firefox's page; a message is its length, a colon, and JSON."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=2 * PATIENCE)
        self._stream = self._socket.makefile("rb")
        self._read()  # the browser's greeting
        self.ask("NewSession", **CAPABILITIES)

    def ask(self, command: str, **parameters: Any) -> Any:
        message = json.dumps([0, 1, f"WebDriver:{command}", parameters]).encode()
        self._socket.sendall(b"%d:%b" % (len(message), message))
        _, _, error, result = self._read()
        if error:
            raise AssertionError(f"{command}: {error['message']}")
        return result["value"] if set(result) == {"value"} else result

    def close(self) -> None:
        self._stream.close()
        self._socket.close()

    def _read(self) -> Any:
        length = b""
        while (byte := self._stream.read(1)) != b":":
            if not byte:
                raise AssertionError("Firefox has ended")
            length += byte
        return json.loads(self._stream.read(int(length)))


class HttpPage(DrivenPage):
    """WebKitGTK's page."""

    def __init__(self, driver: str) -> None:
        self._address = f"{driver}/session"
        session = self._send("POST", "", {"capabilities": {"alwaysMatch": CAPABILITIES}})
        self._address += f"/{session['sessionId']}"

    def ask(self, command: str, **parameters: Any) -> Any:
        return self._send("POST", PATHS[command].format(**parameters), parameters)

    def close(self) -> None:
        self._send("DELETE", "", {})

    def _send(self, method: str, path: str, content: dict[str, Any]) -> Any:
        kind = {"Content-Type": "application/json"}
        request = Request(self._address + path, json.dumps(content).encode(), kind, method=method)
        try:
            with urlopen(request, timeout=2 * PATIENCE) as response:
                return json.load(response)["value"]
        except HTTPError as error:
            raise AssertionError(f"{path}: {error.read().decode()}") from error


@contextmanager
def _chromium() -> Iterator[Visit]:
    with chromium_page.chromium() as browser:  # one for all, because playwright starts only once

        @contextmanager
        def visit() -> Iterator[Page]:
            with browser.new_context(locale="en-GB") as context:
                yield ChromiumPage(context.new_page())

        yield visit


@contextmanager
def firefox() -> Iterator[Page]:
    """Firefox without a screen."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True)))
        (home / "user.js").write_text('user_pref("marionette.port", 0);\n')  # any free one
        flags = ("--marionette", "--headless", "--profile", str(home))
        stack.enter_context(_running([_first(FIREFOX), *flags], home))
        port = home / "MarionetteActivePort"
        _wait("Firefox does not start", lambda: port.exists() and port.read_text().isdigit())
        page = MarionettePage(int(port.read_text()))
        stack.callback(page.close)
        yield page


@contextmanager
def webkit(**settings: str) -> Iterator[Page]:
    """WebKitGTK's automated browser on a screen of its own, with environment variables."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True)))
        number, written = os.pipe()
        screen = ["Xvfb", "-displayfd", str(written), "-screen", "0", "800x800x24"]
        stack.enter_context(_running([*screen, "-nolisten", "tcp"], home, keep=(written,)))
        os.close(written)
        with os.fdopen(number) as stream:
            display = f":{stream.readline().strip()}"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        settings = {"DISPLAY": display, "GDK_BACKEND": "x11", "LC_ALL": "C.UTF-8", **settings}
        driver = f"http://127.0.0.1:{port}"
        stack.enter_context(_running(["WebKitWebDriver", f"--port={port}"], home, **settings))
        _wait("WebKitWebDriver does not start", lambda: _answers(f"{driver}/status"))
        page = HttpPage(driver)
        stack.callback(page.close)
        yield page


@contextmanager
def _running(
    command: Sequence[str], home: Path, keep: Sequence[int] = (), **settings: str
) -> Iterator[None]:
    """A program that keeps what it writes in `home`, and ends with the context."""
    with subprocess.Popen(
        command,
        pass_fds=keep,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(home), **settings},
    ) as process:
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


def _answers(address: str) -> bool:
    try:
        with urlopen(address, timeout=PATIENCE):
            return True
    except URLError:
        return False


def _wait(problem: str, done: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < until, problem
        time.sleep(0.05)


def _first(names: Sequence[str]) -> str:
    return next(filter(None, map(shutil.which, names)))


@dataclass(frozen=True)
class Browser:
    """How to open a browser, and the programs that this takes: one name of each row."""

    start: Callable[[], AbstractContextManager[Visit]]
    needs: tuple[tuple[str, ...], ...]

    def missing(self) -> str:
        """The first program that is not installed; empty if all are."""
        return next((row[0] for row in self.needs if not any(map(shutil.which, row))), "")


FIREFOX = ("firefox-esr", "firefox")
WEBKIT = (("WebKitWebDriver",), ("Xvfb",))
BROWSERS = {
    "Chromium": Browser(_chromium, (chromium_page.BROWSERS,)),
    "Firefox": Browser(partial(nullcontext, firefox), (FIREFOX,)),
    "WebKitGTK": Browser(partial(nullcontext, webkit), WEBKIT),
}
