import Accessibility
import LesionClassifier
import LesionCore
import Observation
import UIKit

/// The state of the page.
@MainActor
@Observable
final class Session {
    private(set) var contract: Contract?
    private(set) var verdict: Golden.Verdict?
    /// A small copy. The photo itself is not kept: it may take 128 MB.
    private(set) var preview: UIImage?
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
        if let verdict, !verdict.passed { announce(verdict.sentence) }
    }

    /// Classifies the file of a photo.
    func classify(_ load: () async throws -> Data?) async {
        await work {
            guard let file = try? await load() else {
                throw Problem(Texts.text("photo_not_loaded"))
            }
            guard let classifier = self.classifier else { return }
            self.preview = try await UIImage(cgImage: classifier.preview(file))
            try await self.show(classifier.classify(file))
        }
    }

    /// Classifies a photo from the camera.
    func classify(_ photo: UIImage) async {
        await work {
            guard let classifier = self.classifier else { return }
            self.preview = await photo.small()
            try await self.show(classifier.classify(photo))
        }
    }

    func report(_ message: String) {
        problem = message
        announce(message)
    }

    private func show(_ answer: Answer) {
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
            report(Texts.problem(error.localizedDescription))
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
        if rejected { return Texts.text("rejected") }
        return unsure ? Texts.text("not_sure") : top.first?.label ?? ""
    }

    fileprivate var spoken: String {
        let classes = top.map { "\($0.label), \($0.probability.percent)" }
        return ([headline] + classes).joined(separator: ". ")
    }
}

extension Golden.Verdict {
    var sentence: String {
        let number = largest.formatted(.number.precision(.significantDigits(2)))
        return Texts.text(passed ? "test_passed" : "test_failed", number)
    }
}

extension Double {
    var percent: String {
        formatted(.percent.precision(.fractionLength(1)))
    }
}

extension UIImage {
    /// A copy to show.
    fileprivate func small(longerSide: CGFloat = 1024) async -> UIImage? {
        let share = min(1, longerSide / max(size.width, size.height))
        let small = CGSize(width: size.width * share, height: size.height * share)
        return await byPreparingThumbnail(ofSize: small)
    }
}
