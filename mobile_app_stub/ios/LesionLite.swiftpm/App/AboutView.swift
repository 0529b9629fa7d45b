import LesionCore
import SwiftUI

/// What the app says of itself: when it answers, whether its self-test passed, licences.
struct AboutView: View {
    let contract: Contract?
    let verdict: Golden.Verdict?
    let close: () -> Void

    var body: some View {
        NavigationStack {
            List {
                if let contract {
                    OperatingPoint(contract: contract)
                }
                if let verdict {
                    Section(Texts.text("self_test")) {
                        SelfTestView(verdict: verdict, working: false)
                    }
                }
                NavigationLink(Texts.text("licences")) { NoticeView() }
            }
            .navigationTitle(Texts.text("about"))
            .navigationBarTitleDisplayMode(.inline)
            .toolbar { Button(Texts.text("done"), action: close) }
        }
    }
}

/// For which frequencies of the classes the model answers, and when it does not answer.
private struct OperatingPoint: View {
    let contract: Contract

    var body: some View {
        if !contract.disclaimer.isEmpty || !contract.note.isEmpty {
            Section {
                if !contract.disclaimer.isEmpty { Text(contract.disclaimer) }
                if !contract.note.isEmpty { Text(contract.note) }
            }
        }
        Section(Texts.text("answers")) {
            Row(name: Texts.text("unsure_below"), value: contract.unsureBelow.percent)
            Row(
                name: Texts.text("other_kinds"),
                value: Texts.text(contract.rejection == nil ? "kinds_not_told" : "kinds_told"))
        }
        if !contract.prior.isEmpty {
            Section(Texts.text("frequencies")) {
                ForEach(contract.labels.indices, id: \.self) { index in
                    Row(name: contract.labels[index], value: share(index))
                }
            }
        }
    }

    private func share(_ index: Int) -> String {
        let (target, trained) = (contract.targetPrior[index], contract.prior[index])
        if contract.logitAdjustment.isEmpty { return target.percent }
        return Texts.text("share_and_training", target.percent, trained.percent)
    }
}

/// The licences of what the app contains.
private struct NoticeView: View {
    var body: some View {
        ScrollView {
            LazyVStack(alignment: .leading, spacing: 12) {
                ForEach(Texts.notice.indices, id: \.self) { index in
                    Text(Texts.notice[index])
                }
            }
            .font(.footnote)
            .padding()
        }
        .navigationTitle(Texts.text("licences"))
        .navigationBarTitleDisplayMode(.inline)
    }
}
