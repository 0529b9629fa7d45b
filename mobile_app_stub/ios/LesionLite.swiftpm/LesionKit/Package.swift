// swift-tools-version: 5.9
import PackageDescription

let package = Package(
    name: "LesionKit",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [.library(name: "LesionCore", targets: ["LesionCore"])],
    targets: [
        .target(name: "LesionCore"),
        .testTarget(name: "LesionCoreTests", dependencies: ["LesionCore"]),
    ]
)

// Only Apple's systems have Core ML and Vision. On others, the core alone is built and tested.
#if canImport(Darwin)
    package.products += [.library(name: "LesionClassifier", targets: ["LesionClassifier"])]
    package.targets += [
        .target(name: "LesionClassifier", dependencies: ["LesionCore"]),
        .testTarget(name: "LesionClassifierTests", dependencies: ["LesionClassifier"]),
    ]
#endif
