// swift-tools-version: 5.9
import PackageDescription

let package = Package(
    name: "Core",
    products: [.library(name: "LesionCore", targets: ["LesionCore"])],
    targets: [
        .target(name: "LesionCore"),
        .testTarget(name: "LesionCoreTests", dependencies: ["LesionCore"]),
    ]
)
