"""Stand-ins for Apple's frameworks: what the iOS app uses of them, declared as documented.

With them Swift type-checks the app where there is no SDK: names, types, actors. They do nothing,
and prove nothing of what the frameworks do. Each module may import those before it.
"""

GRAPHICS = """
@_exported import Foundation
public typealias CFString = String
public typealias CFData = NSData
public typealias CFDictionary = NSDictionary
public final class CGColorSpace: @unchecked Sendable {
    public static let sRGB: CFString = ""
    public init?(name: CFString) {}
}
public enum CGImageAlphaInfo: UInt32 { case noneSkipLast }
public enum CGInterpolationQuality { case none }
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
    public func translateBy(x: CGFloat, y: CGFloat) {}
    public func scaleBy(x: CGFloat, y: CGFloat) {}
}
"""

IMAGE_IO = """
import Graphics
public final class CGImageSource {}
public func CGImageSourceCreateWithData(_: CFData, _: CFDictionary?) -> CGImageSource? { nil }
public func CGImageSourceCreateThumbnailAtIndex(
    _: CGImageSource, _: Int, _: CFDictionary?) -> CGImage? { nil }
public func CGImageSourceCopyPropertiesAtIndex(
    _: CGImageSource, _: Int, _: CFDictionary?) -> CFDictionary? { nil }
public let kCGImageSourceCreateThumbnailFromImageAlways: CFString = ""
public let kCGImageSourceCreateThumbnailWithTransform: CFString = ""
public let kCGImageSourceThumbnailMaxPixelSize: CFString = ""
public let kCGImagePropertyPixelWidth: CFString = ""
public let kCGImagePropertyPixelHeight: CFString = ""
"""

CORE_VIDEO = """
import Graphics
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

UI_KIT = """
@_exported import Graphics
public final class UIImage: NSObject, @unchecked Sendable {
    public init?(data: Data) {}
    public init(cgImage: CGImage) {}
    public var cgImage: CGImage? { nil }
    public var size: CGSize { .zero }
    public var scale: CGFloat { 1 }
    public func draw(in: CGRect, blendMode: CGBlendMode, alpha: CGFloat) {}
}
public func UIGraphicsPushContext(_: CGContext) {}
public func UIGraphicsPopContext() {}
@MainActor open class UIViewController: NSObject { public override init() {} }
@MainActor public protocol UINavigationControllerDelegate: AnyObject {}
@MainActor public protocol UIImagePickerControllerDelegate: AnyObject {
    func imagePickerController(
        _ picker: UIImagePickerController,
        didFinishPickingMediaWithInfo info: [UIImagePickerController.InfoKey: Any])
    func imagePickerControllerDidCancel(_ picker: UIImagePickerController)
}
@MainActor public final class UIImagePickerController: UIViewController {
    public struct InfoKey: Hashable, Sendable { public static let originalImage = InfoKey() }
    public enum SourceType: Sendable { case camera }
    public class func isSourceTypeAvailable(_: SourceType) -> Bool { false }
    public var sourceType = SourceType.camera
    public weak var delegate:
        (any UIImagePickerControllerDelegate & UINavigationControllerDelegate)?
}
"""

SWIFT_UI = """
@_exported import UIKit
@MainActor @preconcurrency public protocol View {
    associatedtype Body: View
    @ViewBuilder @MainActor @preconcurrency var body: Body { get }
}
extension View where Body == Never { public var body: Never { fatalError() } }
extension Never: View { public var body: Never { fatalError() } }
extension Optional: View where Wrapped: View { public typealias Body = Never }
public struct Some: View { public typealias Body = Never }
@resultBuilder public struct ViewBuilder {
    public static func buildBlock<Part: View>(_ part: Part) -> Part { part }
    public static func buildBlock<each Part: View>(_: repeat each Part) -> Some { Some() }
    public static func buildIf<Part: View>(_ part: Part?) -> Part? { part }
    public static func buildEither<Part: View>(first: Part) -> Some { Some() }
    public static func buildEither<Part: View>(second: Part) -> Some { Some() }
}
@MainActor @preconcurrency public protocol Scene { associatedtype Body }
@MainActor @preconcurrency public protocol App {
    associatedtype Body: Scene
    var body: Body { get }
    init()
}
extension App { public static func main() {} }
public struct WindowGroup<Part: View>: Scene {
    public typealias Body = Never
    public init(@ViewBuilder content: () -> Part) {}
}
public struct Binding<Value> {}
@propertyWrapper public struct State<Value> {
    public init(wrappedValue: Value) {}
    public var wrappedValue: Value { get { fatalError() } nonmutating set {} }
    public var projectedValue: Binding<Value> { fatalError() }
}
public enum HorizontalAlignment { case leading, center }
public enum Alignment { case leading, center }
public enum Edge {
    case top, bottom
    public struct Set: OptionSet, Sendable {
        public let rawValue: Int
        public init(rawValue: Int) { self.rawValue = rawValue }
        public static let all = Set(rawValue: 3), horizontal = Set(rawValue: 1)
        public static let vertical = Set(rawValue: 2)
    }
}
public struct NavigationStack<Part: View>: View {
    public typealias Body = Never
    public init(@ViewBuilder root: () -> Part) {}
}
public struct ScrollView<Part: View>: View {
    public typealias Body = Never
    public init(@ViewBuilder content: () -> Part) {}
}
public struct VStack<Part: View>: View {
    public typealias Body = Never
    public init(
        alignment: HorizontalAlignment = .center, spacing: CGFloat? = nil,
        @ViewBuilder content: () -> Part) {}
}
public struct HStack<Part: View>: View {
    public typealias Body = Never
    public init(@ViewBuilder content: () -> Part) {}
}
public struct ViewThatFits<Part: View>: View {
    public typealias Body = Never
    public init(@ViewBuilder content: () -> Part) {}
}
public struct Text: View {
    public typealias Body = Never
    public init(_: String) {}
}
public struct Label: View {
    public typealias Body = Never
    public nonisolated init(_: String, systemImage: String) {}
}
public struct LabeledContent: View {
    public typealias Body = Never
    public init(_: String, value: String) {}
}
public struct ContentUnavailableView: View {
    public typealias Body = Never
    public init(_: String, systemImage: String) {}
}
public struct Button: View {
    public typealias Body = Never
    public init(_: String, systemImage: String, action: @escaping @MainActor () -> Void) {}
}
public struct Image: View {
    public typealias Body = Never
    public init(uiImage: UIImage) {}
    public func resizable() -> Image { self }
}
public struct ProgressView<Part: View>: View {
    public typealias Body = Never
    public init(value: Double?, total: Double = 1, @ViewBuilder label: () -> Part) {}
}
extension ProgressView where Part == Never { public init() {} }
public struct ForEach<Values: RandomAccessCollection, ID: Hashable, Part: View>: View {
    public typealias Body = Never
    public init(
        _: Values, id: KeyPath<Values.Element, ID>,
        @ViewBuilder content: @escaping (Values.Element) -> Part) {}
}
public struct Font: Sendable {
    public static let title2 = Font(), footnote = Font()
    public func bold() -> Font { self }
}
public struct Color: Sendable { public static let red = Color(), secondary = Color() }
public enum Material { case bar }
public enum RectangleShape { case rect(cornerRadius: CGFloat) }
public enum NavigationBarItem { public enum TitleDisplayMode { case inline } }
public enum ButtonStyles { case borderedProminent }
public enum AccessibilityTraits { case isHeader }
public enum AccessibilityChildBehavior { case ignore }
extension View {
    public func accessibilityAddTraits(_: AccessibilityTraits) -> some View { Some() }
    public func accessibilityElement(children: AccessibilityChildBehavior) -> some View { Some() }
    public func accessibilityLabel(_: String) -> some View { Some() }
    public func accessibilityValue(_: String) -> some View { Some() }
    public func background(_: Material) -> some View { Some() }
    public func buttonStyle(_: ButtonStyles) -> some View { Some() }
    public func clipShape(_: RectangleShape) -> some View { Some() }
    public func disabled(_: Bool) -> some View { Some() }
    public func font(_: Font?) -> some View { Some() }
    public func foregroundStyle(_: Color) -> some View { Some() }
    public func frame(
        maxWidth: CGFloat? = nil, maxHeight: CGFloat? = nil, alignment: Alignment = .center
    ) -> some View { Some() }
    public func fullScreenCover<Part: View>(
        isPresented: Binding<Bool>, @ViewBuilder content: @escaping () -> Part
    ) -> some View { Some() }
    public func ignoresSafeArea() -> some View { Some() }
    public func navigationBarTitleDisplayMode(
        _: NavigationBarItem.TitleDisplayMode) -> some View { Some() }
    public func navigationTitle(_: String) -> some View { Some() }
    public func onChange<Value: Equatable>(
        of: Value, initial: Bool = false, _: @escaping () -> Void) -> some View { Some() }
    public func overlay<Part: View>(@ViewBuilder content: () -> Part) -> some View { Some() }
    public func padding(_: Edge.Set = .all, _: CGFloat? = nil) -> some View { Some() }
    public func safeAreaInset<Part: View>(
        edge: Edge, @ViewBuilder content: () -> Part) -> some View { Some() }
    public func scaledToFit() -> some View { Some() }
    public func task(_: @escaping @Sendable @isolated(any) () async -> Void) -> some View { Some() }
}
public struct UIViewControllerRepresentableContext<Content: UIViewControllerRepresentable> {
    @MainActor public var coordinator: Content.Coordinator { fatalError() }
}
@MainActor @preconcurrency public protocol UIViewControllerRepresentable: View where Body == Never {
    associatedtype Controller: UIViewController
    associatedtype Coordinator
    typealias Context = UIViewControllerRepresentableContext<Self>
    func makeUIViewController(context: Context) -> Controller
    func updateUIViewController(_: Controller, context: Context)
    func makeCoordinator() -> Coordinator
}
"""

PHOTOS_UI = """
import SwiftUI
public enum PHPickerFilter { case images }
public struct PhotosPickerItem: Hashable, Sendable {
    public enum EncodingDisambiguationPolicy { case automatic, current }
    public func loadTransferable<Value>(type: Value.Type) async throws -> Value? { nil }
}
public struct PhotosPicker<Part: View>: View {
    public typealias Body = Never
    public nonisolated init(
        selection: Binding<PhotosPickerItem?>, matching: PHPickerFilter? = nil,
        preferredItemEncoding: PhotosPickerItem.EncodingDisambiguationPolicy = .automatic,
        @ViewBuilder label: @Sendable () -> Part) {}
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
    "Graphics": GRAPHICS,
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
