import Foundation
import LesionClassifier
import XCTest

final class EmbeddedModelTests: XCTestCase {
    /// On a Mac, Core ML and Vision run the model that `lesionlite embed` placed in the app.
    func testTheGoldenVectorsPass() async throws {
        var folder = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { folder.deleteLastPathComponent() }
        let model = folder.appendingPathComponent("App/Model")
        try XCTSkipUnless(
            FileManager.default.fileExists(atPath: model.path), "The app holds no model.")
        let verdict = try await Classifier(model: model).selfTest()
        XCTAssertTrue(verdict.passed, "the largest difference is \(verdict.largest)")
    }
}
