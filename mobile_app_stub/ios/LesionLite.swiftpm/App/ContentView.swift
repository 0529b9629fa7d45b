import PhotosUI
import SwiftUI

struct ContentView: View {
    @State private var session = Session()
    @State private var chosen: PhotosPickerItem?
    @State private var takesPhoto = false
    @State private var showsAbout = false

    var body: some View {
        NavigationStack {
            ScrollView {
                VStack(alignment: .leading, spacing: 16) {
                    if let problem = session.problem {
                        Warning(sentence: problem, icon: "exclamationmark.triangle")
                    }
                    PhotoView(preview: session.preview, working: session.working)
                    if let answer = session.answer {
                        AnswerView(answer: answer)
                    }
                    SelfTestView(verdict: session.verdict, working: session.working)
                }
                .padding()
            }
            .navigationTitle(Texts.text("title"))
            .navigationBarTitleDisplayMode(.inline)
            .toolbar {
                Button(Texts.text("about"), systemImage: "info.circle", action: openAbout)
            }
            .safeAreaInset(edge: .top) { disclaimer }
            .safeAreaInset(edge: .bottom) { buttons }
        }
        .task { await session.start() }
        .onChange(of: chosen) { classifyChosen() }
        .fullScreenCover(isPresented: $takesPhoto) {
            CameraView(taken: classifyTaken).ignoresSafeArea()
        }
        .sheet(isPresented: $showsAbout) {
            AboutView(
                contract: session.contract, verdict: session.verdict, close: closeAbout)
        }
    }

    /// The bars stop growing, or the largest type would leave no room between them. The page About
    /// shows the same sentences in any size.
    private var disclaimer: some View {
        Disclaimer(
            disclaimer: session.contract?.disclaimer ?? "", note: session.contract?.note ?? ""
        )
        .dynamicTypeSize(...DynamicTypeSize.accessibility1)
    }

    private var buttons: some View {
        ViewThatFits(in: .horizontal) {
            HStack { choosers }
            VStack { choosers }
        }
        .buttonStyle(.borderedProminent)
        .disabled(!session.ready)
        .padding()
        .frame(maxWidth: .infinity)
        .background(.bar)
        .dynamicTypeSize(...DynamicTypeSize.accessibility1)
    }

    @ViewBuilder private var choosers: some View {
        // The picker runs outside of the app, so it needs no access to the library.
        // With its `current` encoding it gives the file unchanged; another JPEG would lose detail.
        PhotosPicker(selection: $chosen, matching: .images, preferredItemEncoding: .current) {
            Label(Texts.text("choose_photo"), systemImage: "photo")
        }
        if CameraView.exists {
            Button(Texts.text("take_photo"), systemImage: "camera", action: openCamera)
        }
    }

    private func openAbout() {
        showsAbout = true
    }

    private func closeAbout() {
        showsAbout = false
    }

    private func openCamera() {
        Task {
            if await CameraView.mayOpen() {
                takesPhoto = true
            } else {
                session.report(Texts.text("camera_refused"))
            }
        }
    }

    private func classifyChosen() {
        guard let chosen else { return }
        self.chosen = nil  // so that the same photo can be chosen again
        Task {
            await session.classify { try await chosen.loadTransferable(type: Data.self) }
        }
    }

    private func classifyTaken(_ photo: UIImage?) {
        takesPhoto = false
        guard let photo else { return }
        Task { await session.classify(photo) }
    }
}
