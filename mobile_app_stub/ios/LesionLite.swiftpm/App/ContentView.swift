import PhotosUI
import SwiftUI

struct ContentView: View {
    @State private var session = Session()
    @State private var chosen: PhotosPickerItem?
    @State private var takesPhoto = false

    var body: some View {
        NavigationStack {
            ScrollView {
                VStack(alignment: .leading, spacing: 16) {
                    if let problem = session.problem {
                        Label(problem, systemImage: "exclamationmark.triangle")
                            .foregroundStyle(.red)
                    }
                    PhotoView(photo: session.photo, working: session.working)
                    if let answer = session.answer {
                        AnswerView(answer: answer)
                    }
                    SelfTestView(verdict: session.verdict, working: session.working)
                }
                .padding()
            }
            .navigationTitle("Classify a photo")
            .navigationBarTitleDisplayMode(.inline)
            .safeAreaInset(edge: .top) {
                Disclaimer(
                    disclaimer: session.contract?.disclaimer ?? "",
                    note: session.contract?.note ?? "")
            }
            .safeAreaInset(edge: .bottom) { buttons }
        }
        .task { await session.start() }
        .onChange(of: chosen) { classifyChosen() }
        .fullScreenCover(isPresented: $takesPhoto) {
            CameraView(taken: classifyTaken).ignoresSafeArea()
        }
    }

    private var buttons: some View {
        ViewThatFits {
            HStack { choosers }
            VStack { choosers }
        }
        .buttonStyle(.borderedProminent)
        .disabled(!session.ready)
        .padding()
        .frame(maxWidth: .infinity)
        .background(.bar)
    }

    @ViewBuilder private var choosers: some View {
        // The picker runs outside of the app, so it needs no access to the library.
        // With its `current` encoding it gives the file unchanged; another JPEG would lose detail.
        PhotosPicker(selection: $chosen, matching: .images, preferredItemEncoding: .current) {
            Label("Choose a photo", systemImage: "photo")
        }
        if CameraView.exists {
            Button("Take a photo", systemImage: "camera", action: openCamera)
        }
    }

    private func openCamera() {
        Task {
            if await CameraView.mayOpen() {
                takesPhoto = true
            } else {
                session.report("The camera is not allowed here: see Settings, or choose a photo.")
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
