"""The Android app's screens: types checked against stand-ins for Compose.

Compose's compiler plugin is not here, so nothing shows what it alone would refuse, and nothing is
drawn.
"""

import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import Shared
from tests.mobile_app_stub.android.compose_standins import COMPOSE
from tests.mobile_app_stub.android.kotlin_standins import CLASSIFIER, standin_classes, write
from tests.mobile_app_stub.app_sources import (
    ANDROID,
    compiled,
    core_classes,
    kotlin,
    needs_kotlin,
    replace,
    strings,
)

APP = ANDROID / "app" / "src" / "main"
SCREENS = APP / "kotlin" / "lesionlite" / "app"
LIBRARY = ANDROID / "classifier" / "src" / "main"


def resources() -> str:
    """R, as Gradle makes it."""
    names = "".join(f"const val {name} = {at}\n" for at, name in enumerate(strings(APP)))
    raw = "object raw { const val licences = 1 }"
    return f"package lesionlite.app\nobject R {{ object string {{\n{names}}}\n{raw} }}\n"


@pytest.mark.slow
@needs_kotlin
def test_the_screens_type_check_against_stand_ins(shared: Shared, tmp_path: Path) -> None:
    classes = [standin_classes(shared), core_classes(shared)]
    library = shutil.copytree(LIBRARY / "kotlin", tmp_path / "library-source")
    strict = ("-Xexplicit-api=strict",)
    compiled(write(Path(library), R=CLASSIFIER), tmp_path / "library", *classes, flags=strict)
    compose = write(tmp_path / "compose-source", **COMPOSE)
    compiled(compose, tmp_path / "compose", classes[0])
    classes += [tmp_path / "library", tmp_path / "compose"]
    source = write(Path(shutil.copytree(SCREENS, tmp_path / "source")), R=resources())
    compiled(source, tmp_path / "app", *classes)
    replace(source / "InfoScreen.kt", "R.string.never_rejects", "R.string.never_rejected")
    replace(source / "CameraScreen.kt", "camera.close()", "camera.unbind()")
    replace(source / "MainViewModel.kt", "answer = answer)", "answer = answer.ranking)")
    done = kotlin(source, tmp_path / "planted", *classes)
    for name in ("InfoScreen", "CameraScreen", "MainViewModel"):
        assert re.search(rf"{name}\.kt:\d+:\d+: error", done.stderr), done.stderr
