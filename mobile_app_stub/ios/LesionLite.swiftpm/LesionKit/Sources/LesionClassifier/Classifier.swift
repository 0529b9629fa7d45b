import CoreGraphics
import CoreML
import Foundation
import LesionCore
import Vision

/// The answer to a photo.
public struct Answer: Sendable {
    /// The most probable classes, and whether to believe them.
    public let ranking: Ranking
    /// The time for decoding and resizing.
    public let preparing: Duration
    /// The time for the model alone.
    public let running: Duration
}

/// A model that `lesionlite embed` placed, with its contract and its golden vectors.
///
/// As an actor, it runs off the main thread, one photo at a time. Errors are sentences fit to be
/// shown.
///
/// ```swift
/// let classifier = try await Classifier()
/// guard try await classifier.selfTest().passed else { return }
/// let answer = try await classifier.classify(file)
/// ```
public actor Classifier {
    /// What the model takes and what its answers are called.
    public nonisolated let contract: Contract
    private let files: ModelFiles
    private let model: VNCoreMLModel

    /// Opens the model, which is compiled at the first start and then kept.
    ///
    /// - Parameter folder: the folder `Model` that `lesionlite embed` filled; nil if it is among the
    ///   resources of the app.
    /// - Throws: `Problem` if the folder is missing or its files do not fit together.
    public init(model folder: URL? = nil) async throws {
        let files = try ModelFiles(folder)
        do {
            model = try VNCoreMLModel(for: MLModel(contentsOf: await files.compiled()))
        } catch {
            files.forget()  // the next start compiles it again
            throw Problem("The model cannot be opened; embed it again.")
        }
        self.files = files
        contract = files.contract
    }

    /// Runs the golden vectors, unless they have passed here before.
    ///
    /// If they do not pass, this device would answer wrongly: classify nothing then.
    public func selfTest() throws -> Golden.Verdict {
        if let kept = files.keptVerdict { return kept }
        let answers = try files.golden.images.map { name in
            let image = try files.goldenImage(name)
            return try probabilities(Pixels.stored(image, side: contract.side))
        }
        let verdict = files.golden.judge(answers)
        if verdict.passed { files.keep(verdict) }
        return verdict
    }

    /// Classifies the file of a photo (JPEG, HEIC, PNG and so on), turned by its EXIF orientation.
    ///
    /// Of photos of more than 32 megapixels, fewer pixels are decoded, to save memory.
    public func classify(_ file: Data) throws -> Answer {
        let start = ContinuousClock.now
        // The pool frees the decoded photo before the model runs.
        let input = try autoreleasepool { try Pixels.input(Photo.decoded(file), contract) }
        return try answer(input, since: start)
    }

    /// Classifies an upright image.
    public func classify(_ image: CGImage) throws -> Answer {
        let start = ContinuousClock.now
        return try answer(autoreleasepool { try Pixels.input(image, contract) }, since: start)
    }

    /// A small upright copy of a photo, to show it.
    ///
    /// - Parameter longerSide: in pixels
    public func preview(_ file: Data, longerSide: Int = 1024) throws -> CGImage {
        try autoreleasepool { try Photo.preview(file, longerSide: longerSide) }
    }

    private func answer(_ input: [UInt8], since start: ContinuousClock.Instant) throws -> Answer {
        let prepared = ContinuousClock.now
        let ranking = Ranking(try probabilities(input), contract, input)
        return Answer(
            ranking: ranking, preparing: prepared - start, running: ContinuousClock.now - prepared)
    }

    /// - Returns: probabilities in the order of the labels
    private func probabilities(_ rgb: [UInt8]) throws -> [Double] {
        let request = VNCoreMLRequest(model: model)
        request.imageCropAndScaleOption = .scaleFill  // the input fits
        let buffer = try Pixels.buffer(rgb, side: contract.side)
        do {
            try VNImageRequestHandler(cvPixelBuffer: buffer).perform([request])
        } catch {
            throw Problem("The model did not run on this image.")
        }
        // Vision sorts its answers, so this restores the order of the labels.
        let found = request.results as? [VNClassificationObservation] ?? []
        let pairs = found.map { ($0.identifier, Double($0.confidence)) }
        let byLabel = Dictionary(pairs, uniquingKeysWith: { first, _ in first })
        return try contract.labels.map { label in
            guard let probability = byLabel[label] else {
                throw Problem("The model has other labels than contract.json; embed it again.")
            }
            return probability
        }
    }
}
