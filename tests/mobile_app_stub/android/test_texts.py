"""The Android app's texts in two languages, and what would break its screens for some users."""

import re
from pathlib import Path

import pytest

from tests.mobile_app_stub.app_sources import ANDROID, strings

APP = ANDROID / "app" / "src" / "main"
SCREENS = APP / "kotlin" / "lesionlite" / "app"
LIBRARY = ANDROID / "classifier" / "src" / "main"

NOT_TRANSLATED = {"app_name"}  # `lesionlite embed --name` sets it, once


def translation_problems(english: dict[str, str], german: dict[str, str]) -> set[str]:
    """Texts of one language alone, texts left in English, and texts with other arguments."""
    missing = (set(english) - NOT_TRANSLATED) ^ set(german)
    both = set(english) & set(german)
    spoilt = {
        name
        for name in both
        if arguments(english[name]) != arguments(german[name]) or english[name] == german[name]
    }
    return missing | spoilt


def arguments(text: str) -> list[str]:
    return sorted(re.findall(r"%[^%\s]*?[a-z]", text))


@pytest.mark.parametrize("main", [APP, LIBRARY], ids=["app", "library"])
def test_german_is_complete(main: Path) -> None:
    english, german = strings(main), strings(main, "-de")
    assert english and translation_problems(english, german) == set()
    name = next(iter(german))
    assert translation_problems(english, {**german, name: german[name] + " %1$s"}) == {name}
    assert translation_problems(english, {**german, name: english[name]}) == {name}
    assert translation_problems(english, {k: v for k, v in german.items() if k != name}) == {name}


def test_lint_lets_the_name_be_the_same_in_every_language() -> None:
    lint = (ANDROID / "app" / "lint.xml").read_text()
    (ignored,) = re.findall(r'<ignore regexp="(.+)" />', lint)
    assert {ignored} == NOT_TRANSLATED and "MissingTranslation" in lint


# What breaks right-to-left languages, large fonts, the dark theme, screen readers or translation.
BREAKS = {
    "left or right": r"\b(?:left|right) = |[aA]bsolute(?:Padding|Offset)?|Align\.(?:Left|Right)",
    "a fixed height": r"\.(?:requiredHeight|height|heightIn)\(|maxLines = 1\b|softWrap = false",
    "a font size": r"\.sp\b|fontSize =",
    "a colour": r"\bColor\(|Color\.(?:Black|White|Gray)",
    "no description": r"\b(?:Image|Icon)\([^)]*\bnull\b",
    "a text in the code": r'\bText\(\s*"',
}


def breaks(source: str) -> set[str]:
    return {name for name, pattern in BREAKS.items() if re.search(pattern, source, re.DOTALL)}


def test_the_screens_suit_every_language_font_theme_and_reader() -> None:
    files = sorted(SCREENS.rglob("*.kt"))
    assert files
    for file in files:
        assert breaks(file.read_text(encoding="utf-8")) == set(), file
    planted = {
        "left or right": "Modifier.padding(left = 8.dp)",
        "a fixed height": "Modifier.height(48.dp)",
        "a font size": "Text(it, fontSize = 12.sp)",
        "a colour": "Text(it, color = Color(0xFF000000))",
        "no description": "Image(bitmap, null)",
        "a text in the code": 'Text("Melanoma")',
    }
    for name, source in planted.items():
        assert breaks(source) == {name}


def test_screen_readers_hear_answers_and_titles() -> None:
    text = "\n".join(file.read_text(encoding="utf-8") for file in SCREENS.rglob("*.kt"))
    assert "liveRegion = LiveRegionMode.Polite" in text and text.count("heading()") >= 3
    for part in ("AndroidView(", "LinearProgressIndicator(Modifier"):
        after = text[text.index(part) :][:250]
        assert "contentDescription = " in after, part
    manifest = (APP / "AndroidManifest.xml").read_text()
    assert 'android:supportsRtl="true"' in manifest
    night = (APP / "res" / "values-night" / "themes.xml").read_text()
    assert "Light" not in night and "Light" in (APP / "res" / "values" / "themes.xml").read_text()
