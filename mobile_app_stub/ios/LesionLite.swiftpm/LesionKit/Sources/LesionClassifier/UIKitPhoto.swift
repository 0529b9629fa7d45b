#if canImport(UIKit)
    import LesionCore
    import UIKit

    extension Classifier {
        /// Classifies a photo from UIKit, such as one from the camera page, as it is turned.
        ///
        /// If there is a file, give that instead: it takes less memory.
        public func classify(_ photo: UIImage) throws -> Answer {
            try autoreleasepool { try classify(photo.upright()) }
        }
    }

    extension UIImage {
        /// All pixels, upright; reduced as a file would be if there are very many.
        fileprivate func upright() throws -> CGImage {
            if imageOrientation == .up, let cgImage { return cgImage }
            let whole = CGSize(width: size.width * scale, height: size.height * scale)
            let longer = max(whole.width, whole.height)
            guard longer > 0 else { throw Problem("This image has no pixels.") }
            let side = Sampling.longerSide(width: Int(whole.width), height: Int(whole.height))
            let share = side.map { CGFloat($0) / longer } ?? 1
            let drawn = CGSize(width: whole.width * share, height: whole.height * share)
            let format = UIGraphicsImageRendererFormat()
            (format.scale, format.opaque, format.preferredRange) = (1, true, .standard)
            let renderer = UIGraphicsImageRenderer(size: drawn, format: format)
            let image = renderer.image { context in
                context.cgContext.interpolationQuality = share == 1 ? .none : .high
                draw(in: CGRect(origin: .zero, size: drawn), blendMode: .copy, alpha: 1)
            }
            guard let upright = image.cgImage else {
                throw Problem("This image is too large for the memory.")
            }
            return upright
        }
    }
#endif
