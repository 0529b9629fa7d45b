"""The table of phone apps."""

from dataclasses import dataclass

from lesionlite.mobile_app_stub.identity import APPLICATION_ID, NO_SPOTS, Known, Spot

IOS_PACKAGE = "LesionLite.swiftpm/Package.swift"


@dataclass(frozen=True)
class App:
    """A row of the table of apps. The template is the folder with the row's name.

    Attributes:
        formats: names in `FORMATS`; one artifact of each is embedded.
        precisions: precisions in order of preference; the first that passed the benchmark is
            embedded.
        assets: folder in the app for the artifacts, the contract and the golden vectors.
        next: the user's next step, with `{out}` for the app's folder.
        identity: what tells this app from all others.
    """

    formats: tuple[str, ...]
    precisions: tuple[str, ...]
    assets: str
    next: str
    identity: Known = NO_SPOTS


APPS = {
    # fp16 is last because LiteRT.js 2.5.3 takes eight times as long for it as for fp32
    # (google-ai-edge/LiteRT#9663, open). It may come first when that is fixed.
    "web": App(
        ("tflite", "onnx"),
        ("w8", "fp32", "fp16"),
        "model",
        "lesionlite serve {out}",
        Known(
            {
                "name": (
                    Spot("static/app.webmanifest", '"name": "{}"'),
                    Spot("static/app.webmanifest", '"short_name": "{}"'),
                    Spot("static/index.html", "<title>{}</title>"),
                )
            }
        ),
    ),
    "android": App(
        ("tflite",),
        ("w8a8", "fp16", "fp32"),
        "app/src/main/assets/model",
        "open {out} in Android Studio",
        Known(
            {
                "id": (Spot("app/build.gradle.kts", 'applicationId = "{}"'),),
                "name": (
                    Spot("app/src/main/res/values/strings.xml", '<string name="app_name">{}<'),
                ),
            },
            APPLICATION_ID,
        ),
    ),
    "ios": App(
        ("coreml",),
        ("fp16", "fp32", "w8"),
        "LesionLite.swiftpm/App/Model",
        "open {out}/LesionLite.swiftpm in Xcode",
        Known(
            {
                "id": (Spot(IOS_PACKAGE, 'bundleIdentifier: "{}"'),),
                "name": (Spot(IOS_PACKAGE, ' name: "{}",\n            targets: ["AppModule"]'),),
                "team": (Spot(IOS_PACKAGE, 'teamIdentifier: "{}"'),),
            }
        ),
    ),
}
