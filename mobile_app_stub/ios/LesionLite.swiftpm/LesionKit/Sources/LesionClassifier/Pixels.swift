import CoreGraphics
import CoreVideo
import Foundation
import ImageIO
import LesionCore

/// Converts pictures to bytes.
enum Pixels {
    /// Rows of a strip. A large photo is drawn in strips, to save memory.
    private static let rows = 100

    private static let sRGB = CGColorSpace(name: CGColorSpace.sRGB)!

    /// The model's input of an upright photo: RGB [S, S, 3].
    static func input(_ photo: CGImage, _ contract: Contract) throws -> [UInt8] {
        var preprocessor = Preprocessor(width: photo.width, height: photo.height, contract)
        try draw(photo) { preprocessor.add($0, channels: 4) }
        return preprocessor.finish()
    }

    /// The pixels of a golden image, unchanged: RGB [S, S, 3].
    static func stored(_ file: Data, side: Int) throws -> [UInt8] {
        guard let source = CGImageSourceCreateWithData(file as CFData, nil),
            let image = CGImageSourceCreateImageAtIndex(source, 0, nil),
            // Declare the colour space that it is drawn to, so that no value changes.
            let plain = image.copy(colorSpace: sRGB), plain.width == side, plain.height == side
        else {
            throw Problem("A golden image is damaged; embed the model again.")
        }
        var rgb: [UInt8] = []
        try draw(plain) { pixels in
            for start in stride(from: 0, to: pixels.count, by: 4) {
                rgb += pixels[start..<start + 3]
            }
        }
        return rgb
    }

    /// Strips from the top, RGBX without gaps, converted to sRGB.
    static func draw(_ image: CGImage, _ take: (UnsafeBufferPointer<UInt8>) -> Void) throws {
        let (width, height) = (image.width, image.height)
        let context = CGContext(
            data: nil, width: width, height: rows, bitsPerComponent: 8, bytesPerRow: width * 4,
            space: sRGB, bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue)
        guard let context, let data = context.data else {
            throw Problem("This image is too large for the memory.")
        }
        context.interpolationQuality = .none  // pixels are drawn unchanged
        context.setBlendMode(.copy)
        for top in stride(from: 0, to: height, by: rows) {
            // Core Graphics counts from the bottom, but the first bytes are those of the top row.
            let place = CGRect(x: 0, y: rows + top - height, width: width, height: height)
            context.draw(image, in: place)
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
