"""Stand-ins for Apple's frameworks: what the iOS app uses of them, declared as documented.

With them Swift type-checks the app where there is no SDK: names, types, actors. Core Graphics and
Image I/O also do what the documentation says, with pictures of a format of their own; the others do
nothing. They prove nothing of what the frameworks do. Each module may import those before it.
"""

from tests.mobile_app_stub.ios.swift_standins_ui import PHOTOS_UI, SWIFT_UI, UI_KIT

CORE_GRAPHICS = """
@_exported import Foundation
public typealias CFString = String
public typealias CFData = NSData
public typealias CFMutableData = NSMutableData
public typealias CFDictionary = NSDictionary
public func autoreleasepool<Made>(invoking body: () throws -> Made) rethrows -> Made {
    try body()  // of Foundation, but on Apple's systems only
}
public final class CGColorSpace: @unchecked Sendable {
    public static let sRGB: CFString = ""
    public init?(name: CFString) {}
}
public enum CGImageAlphaInfo: UInt32 { case noneSkipLast }
public enum CGInterpolationQuality { case none, high }
public enum CGBlendMode { case copy }
public final class CGImage: @unchecked Sendable {
    public let width: Int, height: Int
    public let bytes: [UInt8]  // RGBX
    public init(width: Int, height: Int, bytes: [UInt8]) {
        (self.width, self.height, self.bytes) = (width, height, bytes)
    }
    public func copy(colorSpace: CGColorSpace) -> CGImage? { self }
}
public final class CGContext {
    private let width, height: Int
    public let data: UnsafeMutableRawPointer?
    public init?(
        data: UnsafeMutableRawPointer?, width: Int, height: Int, bitsPerComponent: Int,
        bytesPerRow: Int, space: CGColorSpace, bitmapInfo: UInt32
    ) {
        precondition(data == nil && bytesPerRow == width * 4)
        (self.width, self.height) = (width, height)
        self.data = .allocate(byteCount: width * height * 4, alignment: 4)
    }
    deinit { data?.deallocate() }
    public var interpolationQuality = CGInterpolationQuality.none
    public func setBlendMode(_: CGBlendMode) {}
    /// Its places count from the bottom, but the first bytes are those of the top row.
    public func draw(_ image: CGImage, in place: CGRect, byTiling: Bool = false) {
        precondition(place.size == CGSize(width: image.width, height: image.height))
        precondition(place.minX == 0 && image.width == width)
        let row = width * 4
        for line in 0..<height {
            let from = Int(place.maxY) - height + line
            guard from >= 0, from < image.height else { continue }
            image.bytes.withUnsafeBytes {
                data!.advanced(by: line * row).copyMemory(
                    from: $0.baseAddress! + from * row, byteCount: row)
            }
        }
    }
    public func makeImage() -> CGImage? {
        let bytes = UnsafeRawBufferPointer(start: data, count: width * height * 4)
        return CGImage(width: width, height: height, bytes: Array(bytes))
    }
}
"""

# Of a file format of its own: width, height, orientation, and the bytes.
IMAGE_IO = """
import CoreGraphics
public final class CGImageSource {
    let image: CGImage
    let orientation: Int
    init?(_ data: Data) {
        guard let end = data.firstIndex(of: 10) else { return nil }
        let header = String(decoding: data[..<end], as: UTF8.self).split(separator: " ")
        let numbers = header.compactMap { Int($0) }
        guard numbers.count == 3 else { return nil }
        image = CGImage(width: numbers[0], height: numbers[1], bytes: Array(data[(end + 1)...]))
        orientation = numbers[2]
    }
}
public func CGImageSourceCreateWithData(_ data: CFData, _: CFDictionary?) -> CGImageSource? {
    CGImageSource(data as Data)
}
public func CGImageSourceCreateThumbnailAtIndex(
    _ source: CGImageSource, _: Int, _ options: CFDictionary?
) -> CGImage? {
    let given = options as? [CFString: Any] ?? [:]
    guard given[kCGImageSourceCreateThumbnailFromImageAlways] as? Bool == true else { return nil }
    let turns = given[kCGImageSourceCreateThumbnailWithTransform] as? Bool == true
    let whole = turns && source.orientation == 6 ? turned(source.image) : source.image
    guard let most = given[kCGImageSourceThumbnailMaxPixelSize] as? Int else { return whole }
    let longer = max(whole.width, whole.height)
    return longer <= most ? whole : reduced(whole, Double(most) / Double(longer))
}
/// By orientation 6, the first row is the right side.
func turned(_ image: CGImage) -> CGImage {
    pick(image, width: image.height, height: image.width) { x, y in (y, image.height - 1 - x) }
}
func reduced(_ image: CGImage, _ share: Double) -> CGImage {
    let width = Int((Double(image.width) * share).rounded())
    let height = Int((Double(image.height) * share).rounded())
    return pick(image, width: width, height: height) { x, y in
        (x * image.width / width, y * image.height / height)
    }
}
func pick(_ image: CGImage, width: Int, height: Int, _ from: (Int, Int) -> (Int, Int)) -> CGImage {
    var bytes = [UInt8](repeating: 0, count: width * height * 4)
    for y in 0..<height {
        for x in 0..<width {
            let (column, row) = from(x, y)
            for channel in 0..<4 {
                let place = (row * image.width + column) * 4 + channel
                bytes[(y * width + x) * 4 + channel] = image.bytes[place]
            }
        }
    }
    return CGImage(width: width, height: height, bytes: bytes)
}
public func CGImageSourceCreateImageAtIndex(
    _ source: CGImageSource, _: Int, _: CFDictionary?) -> CGImage? { source.image }
public func CGImageSourceCopyPropertiesAtIndex(
    _ source: CGImageSource, _: Int, _: CFDictionary?
) -> CFDictionary? {
    let (width, height) = (source.image.width, source.image.height)
    return [kCGImagePropertyPixelWidth: width, kCGImagePropertyPixelHeight: height] as CFDictionary
}
public let kCGImageSourceShouldCache: CFString = "cache"
public let kCGImageSourceShouldCacheImmediately: CFString = "immediately"
public let kCGImageSourceCreateThumbnailFromImageAlways: CFString = "always"
public let kCGImageSourceCreateThumbnailWithTransform: CFString = "transform"
public let kCGImageSourceThumbnailMaxPixelSize: CFString = "most"
public let kCGImagePropertyPixelWidth: CFString = "width"
public let kCGImagePropertyPixelHeight: CFString = "height"
public let kCGImagePropertyOrientation: CFString = "orientation"
public final class CGImageDestination {
    let data: CFMutableData
    init(_ data: CFMutableData) { self.data = data }
}
public func CGImageDestinationCreateWithData(
    _ data: CFMutableData, _: CFString, _: Int, _: CFDictionary?
) -> CGImageDestination? {
    CGImageDestination(data)
}
public func CGImageDestinationAddImage(
    _ target: CGImageDestination, _ image: CGImage, _ properties: CFDictionary?
) {
    let given = properties as? [CFString: Any] ?? [:]
    let orientation = given[kCGImagePropertyOrientation] as? Int ?? 1
    target.data.append(Data("\\(image.width) \\(image.height) \\(orientation)\\n".utf8))
    target.data.append(Data(image.bytes))
}
public func CGImageDestinationFinalize(_: CGImageDestination) -> Bool { true }
"""

CORE_VIDEO = """
import CoreGraphics
public final class CVPixelBuffer {}
public struct CVPixelBufferLockFlags: OptionSet, Sendable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
}
public let kCVReturnSuccess: Int32 = 0
public let kCVPixelFormatType_32BGRA: UInt32 = 0
public let kCVPixelBufferIOSurfacePropertiesKey: CFString = ""
@discardableResult public func CVPixelBufferCreate(
    _: AnyObject?, _: Int, _: Int, _: UInt32, _: CFDictionary?,
    _: UnsafeMutablePointer<CVPixelBuffer?>) -> Int32 { 0 }
@discardableResult public func CVPixelBufferLockBaseAddress(
    _: CVPixelBuffer, _: CVPixelBufferLockFlags) -> Int32 { 0 }
@discardableResult public func CVPixelBufferUnlockBaseAddress(
    _: CVPixelBuffer, _: CVPixelBufferLockFlags) -> Int32 { 0 }
public func CVPixelBufferGetBaseAddress(_: CVPixelBuffer) -> UnsafeMutableRawPointer? { nil }
public func CVPixelBufferGetBytesPerRow(_: CVPixelBuffer) -> Int { 0 }
"""

CORE_ML = """
@_exported import Foundation
public class MLModel {
    public init(contentsOf: URL) throws {}
    public class func compileModel(at url: URL) async throws -> URL { url }
}
extension URL {  // of Foundation, but on Apple's systems only
    public static var cachesDirectory: URL { URL(filePath: "") }
}
"""

VISION = """
import CoreML
import CoreVideo
open class VNObservation: NSObject { public var confidence: Float { 0 } }
public final class VNClassificationObservation: VNObservation {
    public var identifier: String { "" }
}
open class VNRequest: NSObject { public var results: [VNObservation]? { nil } }
public enum VNImageCropAndScaleOption { case centerCrop, scaleFill }
public final class VNCoreMLModel: NSObject { public init(for: MLModel) throws {} }
public final class VNCoreMLRequest: VNRequest {
    public var imageCropAndScaleOption = VNImageCropAndScaleOption.centerCrop
    public init(
        model: VNCoreMLModel, completionHandler: ((VNRequest, (any Error)?) -> Void)? = nil) {}
}
public final class VNImageRequestHandler: NSObject {
    public init(cvPixelBuffer: CVPixelBuffer, options: [String: Any] = [:]) {}
    public func perform(_: [VNRequest]) throws {}
}
"""

AV_FOUNDATION = """
public enum AVMediaType: Sendable { case video }
public class AVCaptureDevice {
    public class func requestAccess(for: AVMediaType) async -> Bool { false }
}
"""

ACCESSIBILITY = """
public enum AccessibilityNotification {
    public struct Announcement {
        public init(_: String) {}
        public func post() {}
    }
}
"""

MODULES = {
    "CoreGraphics": CORE_GRAPHICS,
    "ImageIO": IMAGE_IO,
    "CoreVideo": CORE_VIDEO,
    "CoreML": CORE_ML,
    "Vision": VISION,
    "UIKit": UI_KIT,
    "SwiftUI": SWIFT_UI,
    "PhotosUI": PHOTOS_UI,
    "AVFoundation": AV_FOUNDATION,
    "Accessibility": ACCESSIBILITY,
}
