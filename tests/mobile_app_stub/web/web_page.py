"""What the tests of the web app's page share: how it is opened, read, and told what to do."""

from collections.abc import Callable
from typing import Any

INSECURE = "insecure.test"  # the browser's name for this machine that it does not trust
READY = "Choose or take a photo."
Visit = Callable[..., Any]
"""Opens an address as somebody who was never there; see the fixture `visit`."""


def says(page: Any, part: str, text: str, seconds: float = 60) -> str:
    """Wait until a part of the page says this; all that it says."""
    try:
        page.wait_for_function(
            "([part, text]) => document.getElementById(part).textContent.includes(text)",
            arg=[part, text],
            timeout=1000 * seconds,
        )
    except Exception as error:  # playwright's, which says only that time is over
        raise AssertionError(f"{part} does not say {text!r}; {_state(page)}") from error
    return str(page.text_content(f"#{part}"))


def _state(page: Any) -> str:
    """What the page shows, and which of its workers run."""
    shown = {part: page.text_content(f"#{part}") for part in ("status", "problem", "verdict")}
    workers = page.evaluate(
        "async () => { const one = await navigator.serviceWorker?.getRegistration(); return "
        "['installing', 'waiting', 'active'].map((at) => `${at}: ${one?.[at]?.state}`); }"
    )
    return f"it shows {shown}; workers {[one.url for one in page.workers]}; service {workers}"


def choose_runtime(page: Any, name: str) -> None:
    if not page.locator("#about").get_attribute("open"):
        page.evaluate("document.getElementById('about').open = true")
    page.get_by_label(name).check()
    says(page, "details", name)
    says(page, "status", READY)
