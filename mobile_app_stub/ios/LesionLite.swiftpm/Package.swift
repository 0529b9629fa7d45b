// swift-tools-version: 5.9
import AppleProductTypes
import PackageDescription

let package = Package(
    name: "LesionLite",
    defaultLocalization: "en",
    platforms: [.iOS("17.0")],
    products: [
        .iOSApplication(
            name: "Lesionlite",
            targets: ["AppModule"],
            bundleIdentifier: "com.example.lesionlite",
            teamIdentifier: "",
            displayVersion: "1.0",
            bundleVersion: "1",
            appIcon: .placeholder(icon: .camera),
            // White text on it can be read in light and in dark mode, as on teal it could not.
            accentColor: .presetColor(.indigo),
            supportedDeviceFamilies: [.pad, .phone],
            supportedInterfaceOrientations: [
                .portrait,
                .landscapeRight,
                .landscapeLeft,
                .portraitUpsideDown(.when(deviceFamilies: [.pad])),
            ],
            capabilities: [
                .camera(purposeString: "Photos you take are classified on this device.")
            ],
            additionalInfoPlistContentFilePath: "Info.plist"
        )
    ],
    dependencies: [.package(path: "LesionKit")],
    targets: [
        .executableTarget(
            name: "AppModule",
            dependencies: [
                .product(name: "LesionClassifier", package: "LesionKit"),
                .product(name: "LesionCore", package: "LesionKit"),
            ],
            path: "App",
            resources: [
                // As it is, so that nothing depends on what Xcode makes of a model; see ModelFiles.
                .copy("Model"),
                .process("Resources"),
            ]
        )
    ]
)
