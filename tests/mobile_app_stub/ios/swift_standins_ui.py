"""Stand-ins for the frameworks that draw pages; see `swift_standins`."""

UI_KIT = """
@_exported import CoreGraphics
public final class UIImage: NSObject, @unchecked Sendable {
    public init?(data: Data) {}
    public init(cgImage: CGImage) {}
    public var cgImage: CGImage? { nil }
    public var size: CGSize { .zero }
    public var scale: CGFloat { 1 }
    public enum Orientation: Int, Sendable { case up, down }
    public var imageOrientation: Orientation { .up }
    public func draw(in: CGRect, blendMode: CGBlendMode, alpha: CGFloat) {}
    public func byPreparingThumbnail(ofSize: CGSize) async -> UIImage? { nil }
}
public class UIGraphicsRendererFormat: NSObject {}
public final class UIGraphicsImageRendererFormat: UIGraphicsRendererFormat {
    public enum Range: Int, Sendable { case standard }
    public var scale: CGFloat = 1
    public var opaque = false
    public var preferredRange = Range.standard
}
public final class UIGraphicsImageRendererContext: NSObject {
    public var cgContext: CGContext { fatalError() }
}
public final class UIGraphicsImageRenderer: NSObject {
    public init(size: CGSize, format: UIGraphicsImageRendererFormat) {}
    public func image(actions: (UIGraphicsImageRendererContext) -> Void) -> UIImage { fatalError() }
}
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
public struct Axis { public struct Set: Sendable { public static let horizontal = Set() } }
public struct ViewThatFits<Part: View>: View {
    public typealias Body = Never
    public init(in: Axis.Set, @ViewBuilder content: () -> Part) {}
}
public struct LazyVStack<Part: View>: View {
    public typealias Body = Never
    public init(
        alignment: HorizontalAlignment = .center, spacing: CGFloat? = nil,
        @ViewBuilder content: () -> Part) {}
}
public struct List<Part: View>: View {
    public typealias Body = Never
    public init(@ViewBuilder content: () -> Part) {}
}
public struct Section<Part: View>: View {
    public typealias Body = Never
    public init(@ViewBuilder content: () -> Part) {}
    public init(_: String, @ViewBuilder content: () -> Part) {}
}
public struct NavigationLink<Destination: View>: View {
    public typealias Body = Never
    public init(_: String, @ViewBuilder destination: () -> Destination) {}
}
public struct Spacer: View {
    public typealias Body = Never
    public init() {}
}
public struct Text: View {
    public typealias Body = Never
    public init(_: String) {}
}
public struct Label: View {
    public typealias Body = Never
    public nonisolated init(_: String, systemImage: String) {}
    public init<Title: View, Icon: View>(
        @ViewBuilder title: () -> Title, @ViewBuilder icon: () -> Icon) {}
}
public struct ContentUnavailableView: View {
    public typealias Body = Never
    public init(_: String, systemImage: String) {}
}
public struct Button: View {
    public typealias Body = Never
    public init(_: String, action: @escaping @MainActor () -> Void) {}
    public init(_: String, systemImage: String, action: @escaping @MainActor () -> Void) {}
}
public struct Image: View {
    public typealias Body = Never
    public init(uiImage: UIImage) {}
    public init(systemName: String) {}
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
public enum AccessibilityChildBehavior { case ignore, combine }
public enum DynamicTypeSize: Int, Comparable {
    case large, accessibility1
    public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}
extension View {
    public func accessibilityAddTraits(_: AccessibilityTraits) -> some View { Some() }
    public func accessibilityElement(children: AccessibilityChildBehavior) -> some View { Some() }
    public func accessibilityLabel(_: String) -> some View { Some() }
    public func accessibilityValue(_: String) -> some View { Some() }
    public func background(_: Material) -> some View { Some() }
    public func buttonStyle(_: ButtonStyles) -> some View { Some() }
    public func clipShape(_: RectangleShape) -> some View { Some() }
    public func disabled(_: Bool) -> some View { Some() }
    public func dynamicTypeSize<Sizes: RangeExpression>(_: Sizes) -> some View
    where Sizes.Bound == DynamicTypeSize { Some() }
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
    public func sheet<Part: View>(
        isPresented: Binding<Bool>, @ViewBuilder content: @escaping () -> Part
    ) -> some View { Some() }
    public func toolbar<Part: View>(@ViewBuilder content: () -> Part) -> some View { Some() }
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
