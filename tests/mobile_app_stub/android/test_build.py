"""What Gradle and Android's tools read of the Android app: build files, manifest, wrapper, CI."""

import hashlib
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.mobile_app_stub.app_sources import ANDROID, has_java
from tests.paths import ROOT

MAIN = ANDROID / "app" / "src" / "main"
LIBRARY = ANDROID / "classifier" / "src" / "main"


def catalogue_problems(catalogue: dict[str, Any], scripts: str) -> set[str]:
    """What is used and not listed, or listed and not used; `scripts` are the build files' texts."""

    def accessors(name: str) -> set[str]:
        return {re.sub("[-_]", ".", key) for key in catalogue[name]}

    versions = set(re.findall(r"libs\.versions\.([\w.]+)\.get\(\)", scripts))
    plugins = set(re.findall(r"alias\(libs\.plugins\.([\w.]+)\)", scripts))
    libraries = set(re.findall(r"\(libs\.(?!plugins\.|versions\.)([\w.]+)\)", scripts))
    entries = [*catalogue["libraries"].values(), *catalogue["plugins"].values()]
    versions |= {
        entry["version"]["ref"].replace("-", ".") for entry in entries if "version" in entry
    }
    return (
        (versions ^ accessors("versions"))
        | (plugins ^ accessors("plugins"))
        | (libraries ^ accessors("libraries"))
    )


def test_the_version_catalogue_and_the_build_files_agree() -> None:
    catalogue = tomllib.loads((ANDROID / "gradle" / "libs.versions.toml").read_text())
    scripts = "\n".join(path.read_text() for path in ANDROID.rglob("*.gradle.kts"))
    assert not catalogue_problems(catalogue, scripts)
    assert not re.search(r"\"[\w.-]+:[\w.-]+:[\d.]+\"|version \"", scripts), "a version elsewhere"
    without = scripts.replace("implementation(libs.litert)", "")
    assert catalogue_problems(catalogue, without) == {"litert"}
    more = scripts + "implementation(libs.okhttp)"
    assert catalogue_problems(catalogue, more) == {"okhttp"}
    pinned = {name for name, entry in catalogue["libraries"].items() if "version" not in entry}
    assert pinned == {"compose-material3"}, "the others are not in the bill of materials"
    modules = re.findall(r"\":(\w+)\"", (ANDROID / "settings.gradle.kts").read_text())
    assert all((ANDROID / module / "build.gradle.kts").is_file() for module in modules)


def defined(kind: str, main: Path) -> Iterator[str]:
    for file in (main / "res").rglob("*"):
        if file.parent.name.split("-")[0] == kind:
            yield file.stem
        if file.suffix == ".xml":
            for node in ElementTree.parse(file).getroot():
                if node.tag == kind:
                    yield node.attrib["name"]


def resource_problems(text: str, main: Path) -> set[str]:
    """Resources that are used and not there, or there and not used; `text` is all that uses any."""
    problems = set()
    for kind in ("string", "style", "color", "drawable", "mipmap", "raw"):
        used = set(re.findall(rf"(?:R\.{kind}\.|@{kind}/)([\w.]+)", text))
        problems |= used ^ set(defined(kind, main))
    return problems


def test_every_resource_is_there_and_used() -> None:
    texts = {}
    for main in (MAIN, LIBRARY):
        files = [*main.rglob("*.kt"), *main.rglob("*.xml")]
        texts[main] = "\n".join(file.read_text(encoding="utf-8") for file in files)
        assert not resource_problems(texts[main], main)
    assert resource_problems(texts[MAIN] + "R.string.diagnosis", MAIN) == {"diagnosis"}
    assert resource_problems(texts[MAIN].replace("R.string.take)", ""), MAIN) == {"take"}
    assert set(defined("raw", MAIN)) == {"licences"}


def test_the_librarys_texts_cannot_be_mistaken_for_an_apps() -> None:
    build = (LIBRARY.parents[1] / "build.gradle.kts").read_text()
    (prefix,) = re.findall(r'resourcePrefix = "(.+)"', build)
    names = set(defined("string", LIBRARY))
    assert names and all(name.startswith(prefix) for name in names)
    assert not names & set(defined("string", MAIN))


ANDROID_NAME = "{http://schemas.android.com/apk/res/android}name"


def asked(manifest: str) -> set[str]:
    """Permissions that the app would have."""
    return {
        item.attrib[ANDROID_NAME].rsplit(".", 1)[1]
        for item in ElementTree.fromstring(manifest).iter("uses-permission")
        if item.get("{http://schemas.android.com/tools}node") != "remove"
    }


def hiding(manifest: str) -> set[str]:
    """Features that the permission for the camera implies, and that the app does not do without.

    Google Play hides the app from devices that lack one; see "Permissions that imply feature
    requirements" in Android's documentation of <uses-feature>.
    """
    root = ElementTree.fromstring(manifest)
    required = "{http://schemas.android.com/apk/res/android}required"
    free = {
        feature.attrib[ANDROID_NAME]
        for feature in root.iter("uses-feature")
        if feature.get(required) == "false"
    }
    return {"android.hardware.camera", "android.hardware.camera.autofocus"} - free


def test_no_device_is_hidden_for_its_camera() -> None:
    manifest = (MAIN / "AndroidManifest.xml").read_text()
    assert not hiding(manifest)
    lacking = manifest.replace('"android.hardware.camera"', '"android.hardware.camera.front"')
    assert hiding(lacking) == {"android.hardware.camera"}
    assert len(hiding(manifest.replace('required="false"', 'required="true"'))) == 2


AAPT = [Path("/usr/bin/aapt"), Path("/usr/bin/aapt2")]
FRAMEWORK = Path("/usr/share/android-framework-res/framework-res.apk")
needs_aapt = pytest.mark.skipif(
    not all(file.is_file() for file in (*AAPT, FRAMEWORK)),
    reason="no aapt, or no android-framework-res: see mobile_app_stub/android/README.md",
)


def badging(folder: Path, manifest: str) -> str:
    """What Android's tools tell a store of an app with this manifest, and the app's resources."""

    def run(*command: object) -> str:
        words = [str(word) for word in command]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout

    packed = []
    for main in (MAIN, LIBRARY):
        packed.append(folder / f"{main.parents[1].name}.zip")
        run("aapt2", "compile", "--dir", main / "res", "-o", packed[-1])
    # Gradle does both: it merges the manifests, and knows the package.
    manifest = re.sub(r"<uses-permission[^>]*tools:node=\"remove\" />", "", manifest)
    manifest = manifest.replace("<manifest ", '<manifest package="lesionlite.app" ', 1)
    (folder / "AndroidManifest.xml").write_text(manifest, encoding="utf-8")
    sdk = ["--min-sdk-version", 28, "--target-sdk-version", 29]  # the framework here is 29
    command = ["aapt2", "link", "-I", FRAMEWORK, "--manifest", folder / "AndroidManifest.xml", *sdk]
    run(*command, "-o", folder / "app.apk", *packed)
    return run("aapt", "dump", "badging", folder / "app.apk")


@needs_aapt
def test_androids_tools_read_the_manifest_and_the_resources(tmp_path: Path) -> None:
    manifest = (MAIN / "AndroidManifest.xml").read_text()
    found = badging(tmp_path, manifest)
    permissions = re.findall(r"^uses-permission: name='(.+?)'", found, re.MULTILINE)
    assert permissions == ["android.permission.CAMERA"]
    features = set(re.findall(r"^  uses-feature: name='(.+?)'", found, re.MULTILINE))
    assert features == {"android.hardware.faketouch"}  # every touch screen has it
    assert (
        "application-label-de:" in found and "launchable-activity: name='lesionlite.app." in found
    )
    without = badging(tmp_path, re.sub(r"<uses-feature[^>]*/>", "", manifest))
    assert "uses-implied-feature: name='android.hardware.camera'" in without


def test_the_manifest_asks_for_the_camera_and_keeps_the_network_out() -> None:
    manifest = (MAIN / "AndroidManifest.xml").read_text()
    assert asked(manifest) == {"CAMERA"} and "android.permission.INTERNET" in manifest
    assert "INTERNET" in asked(manifest.replace('tools:node="remove"', ""))
    (activity,) = ElementTree.fromstring(manifest).iter("activity")
    build = (ANDROID / "app" / "build.gradle.kts").read_text()
    (namespace,) = re.findall(r'namespace = "(.+)"', build)
    path = MAIN / "kotlin" / namespace.replace(".", "/") / "MainActivity.kt"
    assert activity.attrib[ANDROID_NAME] == ".MainActivity" and path.is_file()


# Gradle's own list, sources/src/wrapper-validation/wrapper-checksums.json of gradle/actions, has it
# as the wrapper of 9.4.0. A wrapper starts any version.
WRAPPER = "55243ef57851f12b070ad14f7f5bb8302daceeebc5bce5ece5fa6edb23e1145c"


def test_the_wrapper_is_gradles_and_can_be_started() -> None:
    jar = ANDROID / "gradle" / "wrapper" / "gradle-wrapper.jar"
    assert hashlib.sha256(jar.read_bytes()).hexdigest() == WRAPPER
    assert os.access(ANDROID / "gradlew", os.X_OK) and (ANDROID / "gradlew.bat").is_file()


@pytest.mark.skipif(not has_java, reason="no Java")
def test_the_wrapper_asks_for_the_gradle_that_the_properties_name(tmp_path: Path) -> None:
    """It would download Gradle. A folder in place of a server has none, so it stops there."""
    shutil.copytree(ANDROID / "gradle", tmp_path / "gradle")
    shutil.copy(ANDROID / "gradlew", tmp_path)
    properties = tmp_path / "gradle" / "wrapper" / "gradle-wrapper.properties"
    text = properties.read_text()
    (name,) = re.findall(r"distributionUrl=https\\://services.gradle.org/distributions/(.+)", text)
    assert re.fullmatch(r"gradle-9\.[\d.]+-bin\.zip", name)
    assert re.search(r"^distributionSha256Sum=[0-9a-f]{64}$", text, re.MULTILINE)
    nowhere = f"file\\:{tmp_path}/distributions/{name}"
    properties.write_text(
        re.sub("distributionUrl=.+", lambda _: f"distributionUrl={nowhere}", text)
    )
    run = [str(tmp_path / "gradlew"), "--version"]
    home = {**os.environ, "GRADLE_USER_HOME": str(tmp_path / "home")}
    done = subprocess.run(run, capture_output=True, text=True, env=home, timeout=60)
    assert done.returncode != 0 and f"{tmp_path}/distributions/{name}" in done.stdout + done.stderr


def test_only_phones_that_litert_has_a_library_for_install_the_app() -> None:
    build = (ANDROID / "app" / "build.gradle.kts").read_text()
    (names,) = re.findall(r"abiFilters \+= listOf\((.+)\)", build)
    assert names == '"arm64-v8a", "x86_64"'
    assert names in (ANDROID / "README.md").read_text(), "other apps need the line, too"


def test_the_workflow_runs_what_was_not_run_here() -> None:
    text = (ANDROID / ".github" / "workflows" / "android.yml").read_text()
    (command,) = re.findall(r"run: ./gradlew (.+)", text)
    assert {"assembleDebug", "lintDebug", ":core:test"} <= set(command.split())


LICENCES = MAIN / "res" / "raw" / "licences.txt"
NAMED = {"activity": "Jetpack", "camera": "Jetpack", "compose": "Jetpack", "lifecycle": "Jetpack"}
NAMED |= {"coroutines": "kotlinx.coroutines", "litert": "LiteRT"}
TESTS_ALONE = {"json", "kotlin"}


def licence_problems(text: str, libraries: set[str]) -> list[str]:
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    problems = [] if text.endswith("\n" + licence) else ["another licence than lesionlite's"]
    unnamed = {name for name in libraries if NAMED.get(name, name) not in text}
    return [*problems, *sorted(unnamed)]


def test_the_app_shows_the_licences_of_what_it_contains() -> None:
    text = LICENCES.read_text(encoding="utf-8")
    catalogue = tomllib.loads((ANDROID / "gradle" / "libs.versions.toml").read_text())
    libraries = {name.split("-")[0] for name in catalogue["libraries"]} - TESTS_ALONE
    assert libraries and licence_problems(text, libraries) == []
    assert licence_problems(text.replace("2019", "2020"), libraries)
    assert licence_problems(text.replace("LiteRT", "TensorFlow"), libraries) == ["litert"]
    assert licence_problems(text, libraries | {"okhttp"}) == ["okhttp"]
