import LesionClassifier
import LesionCore
import SwiftUI

/// Always visible.
struct Disclaimer: View {
    let disclaimer: String
    let note: String

    var body: some View {
        VStack(alignment: .leading) {
            if !disclaimer.isEmpty { Text(disclaimer) }
            Text(Texts.text("stays_here"))
            if !note.isEmpty { Text(note) }
        }
        .font(.footnote)
        .frame(maxWidth: .infinity, alignment: .leading)
        .padding(.horizontal)
        .padding(.vertical, 8)
        .background(.bar)
        .accessibilityElement(children: .combine)
    }
}

struct PhotoView: View {
    let preview: UIImage?
    let working: Bool

    var body: some View {
        if let preview {
            Image(uiImage: preview)
                .resizable()
                .scaledToFit()
                .frame(maxHeight: 320)
                .clipShape(.rect(cornerRadius: 12))
                .accessibilityLabel(Texts.text("your_photo"))
                .overlay {
                    if working { ProgressView().accessibilityLabel(Texts.text("working")) }
                }
        } else {
            ContentUnavailableView(Texts.text("no_photo"), systemImage: "photo")
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
                Row(name: entry.label, value: entry.probability.percent)
            }
            .accessibilityElement(children: .ignore)
            .accessibilityLabel(entry.label)
            .accessibilityValue(entry.probability.percent)
        }
        Text(Texts.text("times", text(answer.preparing), text(answer.running)))
            .font(.footnote)
            .foregroundStyle(.secondary)
    }

    private func text(_ duration: Duration) -> String {
        duration.formatted(.units(allowed: [.milliseconds]))
    }
}

/// A name and its value: in one line, or in two where large type needs them.
struct Row: View {
    let name: String
    let value: String

    var body: some View {
        ViewThatFits(in: .horizontal) {
            HStack {
                Text(name)
                Spacer()
                Text(value).foregroundStyle(.secondary)
            }
            VStack(alignment: .leading) {
                Text(name)
                Text(value).foregroundStyle(.secondary)
            }
        }
        .accessibilityElement(children: .combine)
    }
}

/// A sentence about something wrong. Only its icon is red, since red letters are hard to read.
struct Warning: View {
    let sentence: String
    let icon: String

    var body: some View {
        Label {
            Text(sentence)
        } icon: {
            Image(systemName: icon).foregroundStyle(.red)
        }
    }
}

/// Shows the result of the self-test.
struct SelfTestView: View {
    let verdict: Golden.Verdict?
    let working: Bool

    var body: some View {
        if let verdict, !verdict.passed {
            Warning(sentence: verdict.sentence, icon: "xmark.seal")
        } else if let verdict {
            Label(verdict.sentence, systemImage: "checkmark.seal")
                .font(.footnote)
                .foregroundStyle(.secondary)
        } else if working {
            Label(Texts.text("testing"), systemImage: "hourglass")
                .font(.footnote)
                .foregroundStyle(.secondary)
        }
    }
}
