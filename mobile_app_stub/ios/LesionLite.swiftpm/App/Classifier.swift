import CoreML
import LesionCore
import UIKit
import Vision

/// The answer to a photo.
struct Answer: Sendable {
    let ranking: Ranking
    /// Seconds for resizing and cropping.
    let preparing: Duration
    /// Seconds for the model alone.
    let running: Duration
}

/// The model. As an actor, it runs off the main thread, one image at a time.
actor Classifier {
    nonisolated let contract: Contract
    private let files: ModelFiles
    private let model: VNCoreMLModel

    init() async throws {
        let files = try ModelFiles()
        do {
            model = try VNCoreMLModel(for: MLModel(contentsOf: await files.compiled()))
        } catch {
            files.forget()  // the next start compiles it again
            throw Problem("The model cannot be opened; embed it again.")
        }
        self.files = files
        contract = files.contract
    }

    /// The upright photo.
    func decode(_ file: Data) throws -> UIImage {
        try Pixels.photo(file)
    }

    func classify(_ photo: UIImage) throws -> Answer {
        let clock = ContinuousClock()
        let start = clock.now
        let input = try Pixels.input(photo, contract)
        let prepared = clock.now
        let ranking = Ranking(try probabilities(input), contract, input)
        return Answer(ranking: ranking, preparing: prepared - start, running: clock.now - prepared)
    }

    /// Runs the golden vectors, unless they have passed here before.
    func selfTest() throws -> Golden.Verdict {
        if let kept = files.keptVerdict { return kept }
        let answers = try files.golden.images.map { name in
            let image = try files.goldenImage(name)
            return try probabilities(Pixels.stored(image, side: contract.side))
        }
        let verdict = files.golden.judge(answers)
        if verdict.passed { files.keep(verdict) }
        return verdict
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
