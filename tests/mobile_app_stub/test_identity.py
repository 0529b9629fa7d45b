"""An app's own id, name and team: each in its place, or one sentence."""

import re
import shutil
from pathlib import Path

import pytest

from lesionlite.errors import LesionliteError
from lesionlite.mobile_app_stub.apps import APPS
from lesionlite.mobile_app_stub.embed import TEMPLATES
from lesionlite.mobile_app_stub.identity import (
    NO_IDENTITY,
    PLACEHOLDERS,
    Identity,
    refuse_new_identity,
    remarks_on,
)

OWN = Identity("org.clinic.skin", "Skin check 2", "A1B2C3D4E5")
PARTS = [(app, part) for app, row in APPS.items() for part in row.identity.spots]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The lines of the templates that hold an identity."""
    for app, row in APPS.items():
        for spot in (spot for spots in row.identity.spots.values() for spot in spots):
            (tmp_path / app / spot.file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(TEMPLATES / app / spot.file, tmp_path / app / spot.file)
    return tmp_path


@pytest.mark.parametrize(("app", "part"), PARTS)
def test_each_part_takes_the_placeholders_place(copy: Path, app: str, part: str) -> None:
    APPS[app].identity.write(copy / app, Identity(**{part: getattr(OWN, part)}))
    for spot in APPS[app].identity.spots[part]:
        old, new = (spot.line.format(one) for one in (PLACEHOLDERS[part], getattr(OWN, part)))
        before = (TEMPLATES / app / spot.file).read_text()
        after = (copy / app / spot.file).read_text()
        assert old not in after and new in after
        assert len(after.splitlines()) == len(before.splitlines())


@pytest.mark.parametrize("app", APPS)
def test_what_is_not_given_stays(copy: Path, app: str) -> None:
    APPS[app].identity.write(copy / app, NO_IDENTITY)
    for spot in (spot for spots in APPS[app].identity.spots.values() for spot in spots):
        assert (copy / app / spot.file).read_text() == (TEMPLATES / app / spot.file).read_text()


@pytest.mark.parametrize("app", APPS)
def test_no_template_names_the_placeholder_elsewhere(app: str) -> None:
    own = {spot.file for spots in APPS[app].identity.spots.values() for spot in spots}
    for path in (TEMPLATES / app).rglob("*"):
        name = path.relative_to(TEMPLATES / app).as_posix()
        if path.is_file() and name not in own and "node_modules" not in name:
            assert PLACEHOLDERS["id"].encode() not in path.read_bytes(), name


def test_a_template_that_lost_its_line_is_a_fault(copy: Path) -> None:
    spot = APPS["android"].identity.spots["id"][0]
    (copy / "android" / spot.file).write_text("")
    with pytest.raises(AssertionError, match="0 times"):
        APPS["android"].identity.write(copy / "android", OWN)


@pytest.mark.parametrize(
    ("app", "identity", "sentence"),
    [
        ("android", Identity(), "--id: the android app needs an id that no other app has"),
        ("ios", Identity(name="Skin"), "--id: the ios app needs an id"),
        ("android", Identity("skin"), "--id: 'skin' cannot be the id of the android app"),
        ("android", Identity("org.clinic-a.skin"), "letters, digits and underscores"),
        ("android", Identity("org.1.skin"), "beginning with a letter"),
        ("ios", Identity("org.clinic_a.skin"), "letters, digits and hyphens"),
        ("ios", Identity('org.a"b'), "cannot be the id"),
        ("web", Identity("org.clinic.skin"), "--id: the web app has none; leave it out"),
        ("web", Identity(team="A1B2C3D4E5"), "--team: the web app has none"),
        ("web", Identity(name="<b>"), "--name: '<b>' cannot be the name"),
        ("web", Identity(name="a" * 31), "at most 30"),
        ("web", Identity(name=" a"), "cannot be the name"),
        ("ios", Identity("org.clinic.skin", team="short"), "--team: 'short' cannot be the team"),
    ],
)
def test_what_cannot_be_is_a_sentence(app: str, identity: Identity, sentence: str) -> None:
    with pytest.raises(LesionliteError, match=re.escape(sentence)):
        APPS[app].identity.refuse(app, identity)


def test_what_may_be() -> None:
    APPS["android"].identity.refuse("android", Identity("org.clinic_a.Skin2", "Hautprüfung"))
    APPS["ios"].identity.refuse("ios", OWN)
    APPS["web"].identity.refuse("web", Identity(name="皮膚"))
    assert remarks_on(OWN) == [] == remarks_on(Identity("com.examples.skin"))
    assert "stores refuse" in remarks_on(Identity("com.example.skin"))[0]


@pytest.mark.parametrize("part", ["id", "name", "team"])
def test_an_app_that_is_there_keeps_its_own(part: str) -> None:
    with pytest.raises(LesionliteError, match=f"--{part} is for a new app"):
        refuse_new_identity(Identity(**{part: getattr(OWN, part)}))
    refuse_new_identity(NO_IDENTITY)
