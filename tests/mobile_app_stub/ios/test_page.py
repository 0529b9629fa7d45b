"""The iOS app's page: its sentences in two languages, and what large type and VoiceOver need."""

import plistlib
import re
from pathlib import Path

import pytest

from tests.mobile_app_stub.ios.test_app import APP, IOS, KIT

RESOURCES = IOS / APP / "App" / "Resources"
LINE = re.compile(r'"((?:[^"\\]|\\.)+)" = "((?:[^"\\]|\\.)+)";')
LANGUAGES = ("de", "en")


def table(language: str, name: str = "Localizable") -> dict[str, str]:
    """Sentences by key. Each line is a comment, empty, or one entry; no key comes twice."""
    text = (RESOURCES / f"{language}.lproj" / f"{name}.strings").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("/*")]
    entries = [LINE.fullmatch(line) for line in lines]
    assert None not in entries, lines[entries.index(None)]
    found = {entry[1]: entry[2] for entry in entries if entry}
    assert len(found) == len(entries)
    return found


def placeholders(sentence: str) -> list[str]:
    """Sorted. Several must be numbered, because languages differ in their order."""
    return sorted(re.findall(r"%(?:\d+\$)?[@a-z%]", sentence))


def code(folder: Path) -> dict[str, str]:
    found = {file.name: file.read_text(encoding="utf-8") for file in folder.rglob("*.swift")}
    assert found
    return found


def calls(text: str) -> list[tuple[list[str], int]]:
    """The keys that each call of `Texts.text` may take, and how many arguments follow."""
    found = []
    for match in re.finditer(r"\btext\((?=[^_])", text):
        depth, parts = 1, [""]
        for character in text[match.end() :]:
            depth += {"(": 1, ")": -1}.get(character, 0)
            if depth == 0:
                break
            if character == "," and depth == 1:
                parts.append("")
            else:
                parts[-1] += character
        if keys := re.findall(r'"(\w+)"', parts[0]):
            found.append((keys, len(parts) - 1))
    return found


def test_both_languages_have_the_same_keys_and_arguments() -> None:
    assert sorted(folder.name for folder in RESOURCES.glob("*.lproj")) == ["de.lproj", "en.lproj"]
    german, english = table("de"), table("en")
    assert list(german) == list(english)
    for key, sentence in english.items():
        assert placeholders(german[key]) == placeholders(sentence), key
        assert len(placeholders(sentence)) < 2 or "$" in "".join(placeholders(sentence)), key
    assert placeholders("%1$@ of %2$@") != placeholders("%1$@ of %@"), "a fault must be found"


def test_the_code_uses_each_sentence_with_its_arguments() -> None:
    english, used = table("en"), set()
    for name, text in code(IOS / APP / "App").items():
        for keys, arguments in calls(text):
            for key in keys:
                assert len(placeholders(english[key])) == arguments, (name, key)
            used |= set(keys)
    assert used == set(english)
    assert calls('Texts.text(bad ? "a" : "b", text(x), "1")') == [(["a", "b"], 2)]


def test_what_the_package_says_to_users_is_translated() -> None:
    """Not what it says to developers, which tells them to embed a model."""
    said = "\n".join(code(IOS / KIT / "Sources").values())
    found = {text for text in re.findall(r'Problem\(\s*"([^"]*)"', said) if "embed" not in text}
    assert set(table("de", "Problems")) == found


def test_the_systems_pages_speak_the_same_languages() -> None:
    plist = plistlib.loads((IOS / APP / "Info.plist").read_bytes())
    assert sorted(plist["CFBundleLocalizations"]) == list(LANGUAGES)
    package = (IOS / APP / "Package.swift").read_text(encoding="utf-8")
    assert 'defaultLocalization: "en"' in package
    (purpose,) = re.findall(r'\.camera\(purposeString: "(.+)"\)', package)
    assert table("en", "InfoPlist") == {"NSCameraUsageDescription": purpose}
    assert list(table("de", "InfoPlist")) == ["NSCameraUsageDescription"]


SHOWN = (
    r"\b(?:Text|Label|Button|Section|NavigationLink|ContentUnavailableView|navigationTitle"
    r"|accessibilityLabel|accessibilityValue|Row|Warning)"
)
RULES = {
    "a sentence in the code": SHOWN + r'\(\s*(?:name: |sentence: )?"',
    "a size that large type cannot change": r"\.system\(size:|\.fixedSize\(|lineLimit\(|"
    r"minimumScaleFactor|\.frame\((?:[^)]*\b)?(?:height|maxHeight|width):(?! 320\))",
    "a side that is another one from right to left": r"\.(?:left|right)\b|\.offset\(|\.position\(",
    "a colour that dark mode cannot change": r"\.(?:black|white)\b|Color\((?:red|white|hue)|"
    r"UIColor\(|preferredColorScheme",
    "a control that VoiceOver cannot find": r"onTapGesture|\.gesture\(|accessibilityHidden",
    "red letters": r"(?<!Image\(systemName: icon\))\.foregroundStyle\((?:Color)?\.red\)",
}
FAULTS = [
    'Text("No photo")',
    "Text(name).font(.system(size: 12))",
    ".frame(height: 40)",
    ".frame(maxWidth: .infinity, alignment: .left)",
    ".foregroundStyle(.black)",
    ".onTapGesture { close() }",
    "Text(sentence).foregroundStyle(.red)",
]


def broken(text: str) -> list[str]:
    return [rule for rule, pattern in RULES.items() if re.search(pattern, text)]


def test_the_page_fits_large_type_dark_mode_right_to_left_and_voiceover() -> None:
    for name, text in code(IOS / APP / "App").items():
        assert not broken(text), name


@pytest.mark.parametrize("planted", FAULTS)
def test_each_rule_of_the_page_finds_its_fault(planted: str) -> None:
    assert len(broken(planted)) == 1


def test_every_picture_has_a_name_and_every_wait_says_so() -> None:
    """A name of its own, or the text of the label that it is the icon of."""
    for name, text in code(IOS / APP / "App").items():
        for match in re.finditer(r"Image\(uiImage:|ProgressView\(\)", text):
            rest = text[match.end() : match.end() + 250]
            assert ".accessibilityLabel(Texts.text(" in rest, name
        for match in re.finditer(r"Image\(systemName:", text):
            assert "icon: {" in text[: match.start()].splitlines()[-2], name
