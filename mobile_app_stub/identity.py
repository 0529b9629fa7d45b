"""The identity of an app: what tells it from all others on a phone and in a store."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from lesionlite.errors import LesionliteError

PLACEHOLDERS = {"id": "com.example.lesionlite", "name": "Lesionlite", "team": ""}
SUCH_AS = {"id": "org.clinic.skin", "name": "Skin check", "team": "A1B2C3D4E5"}
REFUSED_BY_STORES = "com.example"

# No character in them means anything in Kotlin, Swift, XML, HTML or JSON.
APPLICATION_ID = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+")
BUNDLE_ID = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
NAME = re.compile(r"[^\W_](?:[^\W_]|[ .+-]){0,28}[^\W_]|[^\W_]")
TEAM = re.compile(r"[A-Z0-9]{10}")

MEANING = {
    APPLICATION_ID: "parts with dots between them, each of letters, digits and underscores, and "
    "beginning with a letter",
    BUNDLE_ID: "parts with dots between them, each of letters, digits and hyphens",
    NAME: "at most 30 letters, digits, spaces, and .+- between them",
    TEAM: "the 10 capital letters and digits that Apple gave your team",
}


@dataclass(frozen=True)
class Identity:
    """What tells an app from all others. An empty value means none was given.

    Attributes:
        id: Android's application id or Apple's bundle identifier, such as org.clinic.skin.
        name: what the phone shows below the icon.
        team: Apple's name of the developer's team, 10 letters and digits.
    """

    id: str = ""
    name: str = ""
    team: str = ""


NO_IDENTITY = Identity()


@dataclass(frozen=True)
class Spot:
    """A line of a template that holds a part of the identity.

    Attributes:
        file: path of the file in the template.
        line: the text, with {} for the value; the template has the placeholder there.
    """

    file: str
    line: str


@dataclass(frozen=True)
class Known:
    """What a kind of app takes of an identity.

    Attributes:
        spots: where each part goes, by the part's name.
        id: what an id must be.
    """

    spots: Mapping[str, tuple[Spot, ...]] = field(default_factory=dict)
    id: re.Pattern[str] = BUNDLE_ID

    def refuse(self, app: str, identity: Identity) -> None:
        """Refuse an identity that this app cannot have, or that lacks what it needs.

        Raises:
            LesionliteError: names the flag, its value, and what it may be.
        """
        patterns = {"id": self.id, "name": NAME, "team": TEAM}
        for part in (one.name for one in fields(Identity)):
            value, pattern = getattr(identity, part), patterns[part]
            if not value:
                if part == "id" and "id" in self.spots:
                    raise LesionliteError(
                        f"--id: the {app} app needs an id that no other app has, such as "
                        f"--id {SUCH_AS['id']}"
                    )
                continue
            if part not in self.spots:
                raise LesionliteError(f"--{part}: the {app} app has none; leave it out")
            if not pattern.fullmatch(value):
                raise LesionliteError(
                    f"--{part}: {value!r} cannot be the {part} of the {app} app; it must be "
                    f"{MEANING[pattern]}, such as {SUCH_AS[part]}"
                )

    def write(self, app: Path, identity: Identity) -> None:
        """Put the given parts in the place of the template's; `app` is the folder of the copy."""
        for part, spots in self.spots.items():
            value = getattr(identity, part)
            for spot in spots if value else ():
                path = app / spot.file
                text = path.read_text(encoding="utf-8")
                old, new = (spot.line.format(one) for one in (PLACEHOLDERS[part], value))
                assert text.count(old) == 1, f"{spot.file} holds {text.count(old)} times {old!r}"
                path.write_text(text.replace(old, new), encoding="utf-8")


NO_SPOTS = Known()


def refuse_new_identity(identity: Identity) -> None:
    """Refuse an identity for an app that is there, whose files are its developer's.

    Raises:
        LesionliteError: names the flag.
    """
    for part in (one.name for one in fields(Identity)):
        if getattr(identity, part):
            raise LesionliteError(
                f"--{part} is for a new app; with --model-only the app keeps the {part} that its "
                "files hold, so leave it out"
            )


def remarks_on(identity: Identity) -> list[str]:
    """Sentences for the developer."""
    if f"{identity.id}.".startswith(f"{REFUSED_BY_STORES}."):
        return [
            f"stores refuse ids that begin with {REFUSED_BY_STORES}; choose another before you "
            "publish the app"
        ]
    return []
