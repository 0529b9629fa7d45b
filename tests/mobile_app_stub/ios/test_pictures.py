"""What LesionClassifier makes of pictures, on stand-ins for Core Graphics and Image I/O."""

import re
import shutil
from pathlib import Path

import pytest

from tests.mobile_app_stub.ios.swift_standins import MODULES
from tests.mobile_app_stub.ios.test_app import CORE, IOS, KIT, failed, faults, needs_swift, swift

UNDER = ("CoreGraphics", "ImageIO", "CoreVideo", "CoreML", "Vision")
COMPILE = """set -e
compile() {
  name=$1; shift
  swiftc -parse-as-library -wmo -I . -emit-module -emit-object -suppress-warnings \\
    -module-name $name "$@" -emit-module-path $name.swiftmodule -o $name.o
}
"""
STAND_INS = "for name in %s; do compile $name $name.swift; done\ncompile LesionCore ../%s/*.swift\n"
PICTURES = """kit=../%s
compile LesionClassifier -enable-testing $kit/Sources/LesionClassifier/*.swift
swiftc -I . -suppress-warnings main.swift $kit/Tests/LesionClassifierTests/PhotoTests.swift *.o \\
  -lXCTest -o run
./run
"""
PICTURE_FAULTS = {
    "testStripsHoldEveryPixelFromTheTop": ("Pixels.swift", "rows + top - height", "top"),
    "testALargePhotoIsReducedAndAPreviewIsSmall": (
        "Photo.swift",
        "Sampling.longerSide(width: width, height: height)",
        "nil",
    ),
    "testAPhotoIsDecodedWholeAndUpright": (
        "Photo.swift",
        "WithTransform: true",
        "WithTransform: false",
    ),
}


@pytest.mark.slow
@needs_swift
def test_photos_become_bytes_as_the_documentation_says(tmp_path: Path) -> None:
    """The tests of pictures, which a Mac runs on Apple's frameworks, on stand-ins."""
    bench = Path(shutil.copytree(IOS, tmp_path / "bench"))
    (bench / "o").mkdir()
    for name in UNDER:
        (bench / "o" / f"{name}.swift").write_text(MODULES[name], encoding="utf-8")
    tests = (bench / KIT / "Tests/LesionClassifierTests/PhotoTests.swift").read_text("utf-8")
    names = re.findall(r"func (test\w+)", tests)
    cases = ", ".join(f'("{name}", PhotoTests.{name})' for name in names)
    main = f"import XCTest\nXCTMain([testCase([{cases}])])\n"
    (bench / "o" / "main.swift").write_text(main, encoding="utf-8")
    for script, text in (
        ("make.sh", STAND_INS % (" ".join(UNDER), CORE)),
        ("test.sh", PICTURES % KIT),
    ):
        (bench / "o" / script).write_text(COMPILE + text, encoding="utf-8")
    done = swift(bench, Path("o"), "sh make.sh 2>&1 && sh test.sh 2>&1")
    assert done.returncode == 0, done.stdout
    assert f"Executed {len(names)} tests, with 0 failures" in done.stdout
    with faults(bench / KIT / "Sources" / "LesionClassifier", PICTURE_FAULTS):
        done = swift(bench, Path("o"), "sh test.sh 2>&1")
    assert done.returncode != 0 and set(PICTURE_FAULTS) <= failed(done.stdout), done.stdout
