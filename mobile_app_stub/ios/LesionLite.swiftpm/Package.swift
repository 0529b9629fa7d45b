// swift-tools-version: 5.9
import AppleProductTypes
import PackageDescription

let package = Package(
    name: "LesionLite",
    platforms: [.iOS("17.0")],
    products: [
        .iOSApplication(
            name: "LesionLite",
            targets: ["AppModule"],
            bundleIdentifier: "com.example.lesionlite",
            teamIdentifier: "",
            displayVersion: "1.0",
            bundleVersion: "1",
            appIcon: .placeholder(icon: .camera),
            accentColor: .presetColor(.teal),
            supportedDeviceFamilies: [.pad, .phone],
            supportedInterfaceOrientations: [
                .portrait,
                .landscapeRight,
                .landscapeLeft,
                .portraitUpsideDown(.when(deviceFamilies: [.pad])),
            ],
            capabilities: [
                .camera(purposeString: "Photos you take are classified on this device.")
            ]
        )
    ],
    dependencies: [.package(path: "Core")],
    targets: [
        .executableTarget(
            name: "AppModule",
            dependencies: [.product(name: "LesionCore", package: "Core")],
            path: "App",
            // As they are, so that nothing depends on what Xcode makes of a model; see ModelFiles.
            resources: [.copy("Model")]
        )
    ]
)
