import LesionCore
import SwiftUI

/// Always visible.
struct Disclaimer: View {
    let disclaimer: String
    let note: String

    var body: some View {
        VStack(alignment: .leading) {
            if !disclaimer.isEmpty { Text(disclaimer) }
            Text("Photos stay on this device.")
            if !note.isEmpty { Text(note) }
        }
        .font(.footnote)
        .frame(maxWidth: .infinity, alignment: .leading)
        .padding(.horizontal)
        .padding(.vertical, 8)
        .background(.bar)
    }
}

struct PhotoView: View {
    let photo: UIImage?
    let working: Bool

    var body: some View {
        if let photo {
            Image(uiImage: photo)
                .resizable()
                .scaledToFit()
                .frame(maxHeight: 320)
                .clipShape(.rect(cornerRadius: 12))
                .overlay { if working { ProgressView() } }
                .accessibilityLabel("Your photo")
        } else {
            ContentUnavailableView("No photo yet", systemImage: "photo")
        }
    }
}

struct AnswerView: View {
    let answer: Answer

    var body: some View {
        Text(answer.ranking.headline)
            .font(.title2.bold())
            .accessibilityAddTraits(.isHeader)
        ForEach(answer.ranking.top, id: \.label) { entry in
            ProgressView(value: min(max(entry.probability, 0), 1)) {
                LabeledContent(entry.label, value: entry.probability.percent)
            }
            .accessibilityElement(children: .ignore)
            .accessibilityLabel(entry.label)
            .accessibilityValue(entry.probability.percent)
        }
        Text("Prepared in \(text(answer.preparing)), classified in \(text(answer.running))")
            .font(.footnote)
            .foregroundStyle(.secondary)
    }

    private func text(_ duration: Duration) -> String {
        duration.formatted(.units(allowed: [.milliseconds]))
    }
}

/// Shows the result of the self-test.
struct SelfTestView: View {
    let verdict: Golden.Verdict?
    let working: Bool

    var body: some View {
        if let verdict {
            Label(text(verdict), systemImage: verdict.passed ? "checkmark.seal" : "xmark.seal")
                .font(.footnote)
                .foregroundStyle(verdict.passed ? Color.secondary : Color.red)
        } else if working {
            Label("Opening and testing the model", systemImage: "hourglass")
                .font(.footnote)
                .foregroundStyle(Color.secondary)
        }
    }

    private func text(_ verdict: Golden.Verdict) -> String {
        let largest = verdict.largest.formatted(.number.precision(.significantDigits(2)))
        return verdict.passed
            ? "Self-test passed, largest difference \(largest)"
            : "Self-test failed, largest difference \(largest): this device would answer wrongly"
    }
}
