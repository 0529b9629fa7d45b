import Accessibility
import LesionCore
import Observation
import UIKit

/// The state of the page.
@MainActor
@Observable
final class Session {
    private(set) var contract: Contract?
    private(set) var verdict: Golden.Verdict?
    private(set) var photo: UIImage?
    private(set) var answer: Answer?
    private(set) var problem: String?
    private(set) var working = false

    @ObservationIgnored private var classifier: Classifier?

    /// False on a device that failed the self-test.
    var ready: Bool { verdict?.passed == true && !working }

    /// Opens the model and tests it.
    func start() async {
        guard classifier == nil else { return }
        await work {
            let classifier = try await Classifier()
            self.contract = classifier.contract
            self.verdict = try await classifier.selfTest()
            self.classifier = classifier
        }
        if verdict?.passed == false { announce("Self-test failed") }
    }

    /// Classifies the file of a photo.
    func classify(_ load: () async throws -> Data?) async {
        await work {
            guard let file = try? await load() else {
                throw Problem("This photo cannot be loaded from the library.")
            }
            guard let classifier = self.classifier else { return }
            try await self.show(classifier.decode(file))
        }
    }

    /// Classifies a photo from the camera.
    func classify(_ photo: UIImage) async {
        await work { try await self.show(photo) }
    }

    func report(_ message: String) {
        problem = message
        announce(message)
    }

    private func show(_ photo: UIImage) async throws {
        self.photo = photo
        guard let classifier else { return }
        let answer = try await classifier.classify(photo)
        self.answer = answer
        announce(answer.ranking.spoken)
    }

    private func work(_ body: () async throws -> Void) async {
        guard !working else { return }
        (working, problem, answer) = (true, nil, nil)
        defer { working = false }
        do {
            try await body()
        } catch {
            report(error.localizedDescription)
        }
    }

    /// Announces a change to users of VoiceOver.
    private func announce(_ text: String) {
        AccessibilityNotification.Announcement(text).post()
    }
}

extension Ranking {
    /// The first line of the answer.
    var headline: String {
        if rejected { return "This does not look like the images that the network has learned" }
        return unsure ? "Not sure" : top.first?.label ?? ""
    }

    fileprivate var spoken: String {
        let classes = top.map { "\($0.label), \($0.probability.percent)" }
        return ([headline] + classes).joined(separator: ". ")
    }
}

extension Double {
    var percent: String {
        formatted(.percent.precision(.fractionLength(1)))
    }
}
