import AVFoundation
import SwiftUI
import UIKit

/// The system's own camera page.
struct CameraView: UIViewControllerRepresentable {
    /// Called with nil if the user took no photo.
    let taken: @MainActor (UIImage?) -> Void

    /// False in the simulator.
    static var exists: Bool { UIImagePickerController.isSourceTypeAvailable(.camera) }

    /// Asks the user the first time; later it returns that answer.
    static func mayOpen() async -> Bool {
        await AVCaptureDevice.requestAccess(for: .video)
    }

    func makeUIViewController(context: Context) -> UIImagePickerController {
        let controller = UIImagePickerController()
        controller.sourceType = .camera
        controller.delegate = context.coordinator
        return controller
    }

    func updateUIViewController(_ controller: UIImagePickerController, context: Context) {}

    func makeCoordinator() -> Coordinator {
        Coordinator(taken: taken)
    }

    @MainActor
    final class Coordinator: NSObject, UIImagePickerControllerDelegate,
        UINavigationControllerDelegate
    {
        private let taken: @MainActor (UIImage?) -> Void

        init(taken: @escaping @MainActor (UIImage?) -> Void) {
            self.taken = taken
        }

        func imagePickerController(
            _ picker: UIImagePickerController,
            didFinishPickingMediaWithInfo info: [UIImagePickerController.InfoKey: Any]
        ) {
            taken(info[.originalImage] as? UIImage)
        }

        func imagePickerControllerDidCancel(_ picker: UIImagePickerController) {
            taken(nil)
        }
    }
}
