import CoreVideo
import ImageIO
import LesionCore
import UIKit

/// From pictures to bytes.
enum Pixels {
    /// The rows of a strip: a large photo is never drawn whole.
    private static let rows = 100
    /// More than phones' own photos have; a larger one is reduced while it is decoded.
    private static let longest = 16_384

    private static let sRGB = CGColorSpace(name: CGColorSpace.sRGB)!

    /// A photo, upright by its EXIF orientation.
    static func photo(_ file: Data) throws -> UIImage {
        var options: [CFString: Any] = [
            kCGImageSourceCreateThumbnailFromImageAlways: true,
            kCGImageSourceCreateThumbnailWithTransform: true,
        ]
        guard let source = CGImageSourceCreateWithData(file as CFData, nil) else {
            throw Problem("This file holds no image.")
        }
        if length(source) > longest {
            options[kCGImageSourceThumbnailMaxPixelSize] = longest
        }
        // Without a largest size the "thumbnail" is the image as it is, but upright and decoded.
        guard let image = CGImageSourceCreateThumbnailAtIndex(source, 0, options as CFDictionary)
        else {
            throw Problem("This file holds no image that can be decoded.")
        }
        return UIImage(cgImage: image)
    }

    private static func length(_ source: CGImageSource) -> Int {
        let properties = CGImageSourceCopyPropertiesAtIndex(source, 0, nil) as? [CFString: Any]
        let width = properties?[kCGImagePropertyPixelWidth] as? Int ?? 0
        let height = properties?[kCGImagePropertyPixelHeight] as? Int ?? 0
        return max(width, height)
    }

    /// What the model takes of a photo: RGB [S, S, 3].
    static func input(_ photo: UIImage, _ contract: Contract) throws -> [UInt8] {
        let width = Int(photo.size.width * photo.scale)
        let height = Int(photo.size.height * photo.scale)
        guard width > 0, height > 0 else { throw Problem("This image has no pixels.") }
        var preprocessor = Preprocessor(width: width, height: height, contract)
        try draw(photo, width, height) { preprocessor.add($0, channels: 4) }
        return preprocessor.finish()
    }

    /// A golden image as it stands in its file: RGB [S, S, 3].
    static func stored(_ file: Data, side: Int) throws -> [UInt8] {
        guard let image = UIImage(data: file)?.cgImage,
            // Declared to be in the space that it is drawn to: no value may change on the way.
            let plain = image.copy(colorSpace: sRGB), plain.width == side, plain.height == side
        else {
            throw Problem("A golden image is damaged; embed the model again.")
        }
        var rgb: [UInt8] = []
        try draw(UIImage(cgImage: plain), side, side) { pixels in
            for start in stride(from: 0, to: pixels.count, by: 4) {
                rgb += pixels[start..<start + 3]
            }
        }
        return rgb
    }

    /// Strips from the top, RGBX without gaps, in sRGB: photos in wider colours are converted.
    private static func draw(
        _ image: UIImage, _ width: Int, _ height: Int,
        _ take: (UnsafeBufferPointer<UInt8>) -> Void
    ) throws {
        let context = CGContext(
            data: nil, width: width, height: rows, bitsPerComponent: 8, bytesPerRow: width * 4,
            space: sRGB, bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue)
        guard let context, let data = context.data else {
            throw Problem("This image is too large for the memory.")
        }
        context.interpolationQuality = .none  // every pixel is drawn as it is
        context.translateBy(x: 0, y: CGFloat(rows))  // UIKit counts from the top
        context.scaleBy(x: 1, y: -1)
        UIGraphicsPushContext(context)
        defer { UIGraphicsPopContext() }
        for top in stride(from: 0, to: height, by: rows) {
            let place = CGRect(x: 0, y: -top, width: width, height: height)
            image.draw(in: place, blendMode: .copy, alpha: 1)
            let count = min(rows, height - top) * width * 4
            let bytes = data.assumingMemoryBound(to: UInt8.self)
            take(UnsafeBufferPointer(start: bytes, count: count))
        }
    }

    /// What Vision takes: BGRA, of the model's own size.
    static func buffer(_ rgb: [UInt8], side: Int) throws -> CVPixelBuffer {
        var made: CVPixelBuffer?
        let attributes = [kCVPixelBufferIOSurfacePropertiesKey: [:] as CFDictionary] as CFDictionary
        CVPixelBufferCreate(nil, side, side, kCVPixelFormatType_32BGRA, attributes, &made)
        guard let made, CVPixelBufferLockBaseAddress(made, []) == kCVReturnSuccess else {
            throw Problem("There is no memory for the model's input.")
        }
        defer { CVPixelBufferUnlockBaseAddress(made, []) }
        guard let base = CVPixelBufferGetBaseAddress(made) else {
            throw Problem("There is no memory for the model's input.")
        }
        let row = CVPixelBufferGetBytesPerRow(made)  // may be more than its pixels need
        let bytes = base.assumingMemoryBound(to: UInt8.self)
        for pixel in 0..<side * side {
            let place = pixel / side * row + pixel % side * 4
            bytes[place] = rgb[pixel * 3 + 2]
            bytes[place + 1] = rgb[pixel * 3 + 1]
            bytes[place + 2] = rgb[pixel * 3]
            bytes[place + 3] = 255
        }
        return made
    }
}
