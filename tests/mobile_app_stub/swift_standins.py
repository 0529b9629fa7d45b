"""Stand-ins for Apple's frameworks: what the iOS app uses of them, declared as documented.

With them Swift type-checks the app where there is no SDK: names, types, actors. They do nothing,
and prove nothing of what the frameworks do. Each module may import those before it.
"""

from tests.mobile_app_stub.swift_standins_ui import PHOTOS_UI, SWIFT_UI, UI_KIT

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
    public var width: Int { 0 }
    public var height: Int { 0 }
    public func copy(colorSpace: CGColorSpace) -> CGImage? { nil }
}
public final class CGContext {
    public init?(
        data: UnsafeMutableRawPointer?, width: Int, height: Int, bitsPerComponent: Int,
        bytesPerRow: Int, space: CGColorSpace, bitmapInfo: UInt32) {}
    public var data: UnsafeMutableRawPointer? { nil }
    public var interpolationQuality = CGInterpolationQuality.none
    public func setBlendMode(_: CGBlendMode) {}
    public func draw(_: CGImage, in: CGRect, byTiling: Bool = false) {}
    public func makeImage() -> CGImage? { nil }
}
"""

IMAGE_IO = """
import CoreGraphics
public final class CGImageSource {}
public func CGImageSourceCreateWithData(_: CFData, _: CFDictionary?) -> CGImageSource? { nil }
public func CGImageSourceCreateThumbnailAtIndex(
    _: CGImageSource, _: Int, _: CFDictionary?) -> CGImage? { nil }
public func CGImageSourceCreateImageAtIndex(
    _: CGImageSource, _: Int, _: CFDictionary?) -> CGImage? { nil }
public func CGImageSourceCopyPropertiesAtIndex(
    _: CGImageSource, _: Int, _: CFDictionary?) -> CFDictionary? { nil }
public let kCGImageSourceShouldCache: CFString = ""
public let kCGImageSourceShouldCacheImmediately: CFString = ""
public let kCGImageSourceCreateThumbnailFromImageAlways: CFString = ""
public let kCGImageSourceCreateThumbnailWithTransform: CFString = ""
public let kCGImageSourceThumbnailMaxPixelSize: CFString = ""
public let kCGImagePropertyPixelWidth: CFString = ""
public let kCGImagePropertyPixelHeight: CFString = ""
public let kCGImagePropertyOrientation: CFString = ""
public final class CGImageDestination {}
public func CGImageDestinationCreateWithData(
    _: CFMutableData, _: CFString, _: Int, _: CFDictionary?) -> CGImageDestination? { nil }
public func CGImageDestinationAddImage(
    _: CGImageDestination, _: CGImage, _: CFDictionary?) {}
public func CGImageDestinationFinalize(_: CGImageDestination) -> Bool { false }
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
