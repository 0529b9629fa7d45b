import CoreGraphics
import Foundation
import ImageIO
import LesionCore

/// Decodes the files of photos. The results are upright.
enum Photo {
    /// The photo to classify: whole, or reduced if it is very large; see `Sampling`.
    static func decoded(_ file: Data) throws -> CGImage {
        let source = try source(file)
        let properties = CGImageSourceCopyPropertiesAtIndex(source, 0, nil) as? [CFString: Any]
        let width = properties?[kCGImagePropertyPixelWidth] as? Int ?? 0
        let height = properties?[kCGImagePropertyPixelHeight] as? Int ?? 0
        return try image(source, longerSide: Sampling.longerSide(width: width, height: height))
    }

    /// A small copy to show. ImageIO does not decode all of a large photo for it.
    static func preview(_ file: Data, longerSide: Int) throws -> CGImage {
        try image(source(file), longerSide: longerSide)
    }

    private static func source(_ file: Data) throws -> CGImageSource {
        // Otherwise ImageIO would keep what it decoded for as long as the source lives.
        let options = [kCGImageSourceShouldCache: false] as CFDictionary
        guard let source = CGImageSourceCreateWithData(file as CFData, options) else {
            throw Problem("This file holds no image.")
        }
        return source
    }

    /// - Parameter longerSide: nil for all pixels: without a maximum, the "thumbnail" is the whole
    ///   image, upright and decoded.
    private static func image(_ source: CGImageSource, longerSide: Int?) throws -> CGImage {
        var options: [CFString: Any] = [
            kCGImageSourceCreateThumbnailFromImageAlways: true,
            kCGImageSourceCreateThumbnailWithTransform: true,
            kCGImageSourceShouldCacheImmediately: true,  // decode now, and not for each strip
        ]
        if let longerSide { options[kCGImageSourceThumbnailMaxPixelSize] = longerSide }
        guard let image = CGImageSourceCreateThumbnailAtIndex(source, 0, options as CFDictionary)
        else {
            throw Problem("This file holds no image that can be decoded.")
        }
        return image
    }
}
