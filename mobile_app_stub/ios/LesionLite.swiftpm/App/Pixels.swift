import CoreVideo
import ImageIO
import LesionCore
import UIKit

/// Converts pictures to bytes.
enum Pixels {
    /// Rows of a strip. A large photo is drawn in strips, to save memory.
    private static let rows = 100
    /// Larger photos are reduced while they are decoded. Phones' own photos are smaller.
    private static let longest = 16_384

    private static let sRGB = CGColorSpace(name: CGColorSpace.sRGB)!

    /// Decodes a photo and turns it upright by its EXIF orientation.
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
        // Without a maximum size, the "thumbnail" is the whole image, upright and decoded.
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

    /// The model's input of a photo: RGB [S, S, 3].
    static func input(_ photo: UIImage, _ contract: Contract) throws -> [UInt8] {
        let width = Int(photo.size.width * photo.scale)
        let height = Int(photo.size.height * photo.scale)
        guard width > 0, height > 0 else { throw Problem("This image has no pixels.") }
        var preprocessor = Preprocessor(width: width, height: height, contract)
        try draw(photo, width, height) { preprocessor.add($0, channels: 4) }
        return preprocessor.finish()
    }

    /// The pixels of a golden image, unchanged: RGB [S, S, 3].
    static func stored(_ file: Data, side: Int) throws -> [UInt8] {
        guard let image = UIImage(data: file)?.cgImage,
            // Declare the colour space that it is drawn to, so that no value changes.
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

    /// Strips from the top, RGBX without gaps, converted to sRGB.
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
        context.interpolationQuality = .none  // pixels are drawn unchanged
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

    /// A buffer for Vision: BGRA, of the model's size.
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
        let row = CVPixelBufferGetBytesPerRow(made)  // may be longer than its pixels
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
