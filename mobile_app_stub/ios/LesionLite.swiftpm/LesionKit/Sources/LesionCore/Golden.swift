import Foundation

/// Images, and the answers that the model should give.
///
/// They show whether this device feeds and runs the model like the machine that exported it.
public struct Golden: Equatable, Sendable {
    public struct Verdict: Codable, Equatable, Sendable {
        public let passed: Bool
        /// The largest difference of a probability; NaN if one is not finite.
        public let largest: Double
    }

    /// File name of the embedded model.
    public let artifact: String
    /// Distinguishes models of the same name.
    public let sha256: String
    /// File names of the images, which have the input's size.
    public let images: [String]
    /// Probabilities for each image, in the order of the labels.
    public let probabilities: [[Double]]
    public let tolerance: Double

    /// Reads golden.json and refuses golden vectors of another contract.
    ///
    /// - Throws: `Problem`
    public static func read(_ json: Data, _ contract: Contract) throws -> Golden {
        guard let document = try? JSONDecoder().decode(Document.self, from: json),
            document.artifacts.count == 1, let (artifact, entry) = document.artifacts.first,
            entry.probabilities.count == document.images.count
        else {
            throw Problem("golden.json holds no golden vectors; embed the model again.")
        }
        guard document.labels == contract.labels else {
            throw Problem(
                "golden.json has other labels than contract.json; embed the model again.")
        }
        return Golden(
            artifact: artifact, sha256: entry.sha256, images: document.images,
            probabilities: entry.probabilities, tolerance: entry.tolerance)
    }

    /// Compares answers with the expected ones.
    ///
    /// - Parameter found: probabilities for each image.
    public func judge(_ found: [[Double]]) -> Verdict {
        let expected = probabilities.joined()
        let answers = found.joined()
        let differences = zip(answers, expected).map { abs($0 - $1) }
        let complete = answers.count == expected.count && differences.allSatisfy(\.isFinite)
        // Written out because max() may pass over a NaN, and a NaN must fail.
        let largest = complete ? differences.max() ?? .nan : .nan
        return Verdict(passed: largest <= tolerance, largest: largest)
    }

    private struct Document: Decodable {
        let labels: [String]
        let images: [String]
        let artifacts: [String: Entry]
    }

    private struct Entry: Decodable {
        let sha256: String
        let tolerance: Double
        let probabilities: [[Double]]
    }
}
