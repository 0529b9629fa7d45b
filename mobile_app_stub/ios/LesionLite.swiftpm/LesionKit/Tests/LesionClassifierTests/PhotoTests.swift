import CoreGraphics
import ImageIO
import LesionCore
import XCTest

@testable import LesionClassifier

/// What Core Graphics and Image I/O do with pictures.
final class PhotoTests: XCTestCase {
    func testStripsHoldEveryPixelFromTheTop() throws {
        let image = try drawn(width: 3, height: 250)
        var bytes: [UInt8] = []
        try Pixels.draw(image) { bytes += $0 }
        XCTAssertEqual(bytes.count, 3 * 250 * 4)
        for row in 0..<250 {
            XCTAssertEqual(Array(bytes[row * 12..<row * 12 + 3]), [UInt8(row), 7, 0])
        }
    }

    func testAPhotoIsDecodedWholeAndUpright() throws {
        // By orientation 6 the first column is the top row.
        let file = try encoded(drawn(width: 3, height: 250), "public.tiff", orientation: 6)
        let photo = try Photo.decoded(file)
        XCTAssertEqual([photo.width, photo.height], [250, 3])
        var bytes: [UInt8] = []
        try Pixels.draw(photo) { bytes += $0 }
        XCTAssertEqual(bytes[0], 249)
        XCTAssertEqual(bytes[249 * 4], 0)
    }

    func testALargePhotoIsReducedAndAPreviewIsSmall() throws {
        let wide = try Photo.decoded(encoded(drawn(width: 40_000, height: 4), "public.png"))
        XCTAssertEqual([wide.width, wide.height], [20_000, 2])
        let file = try encoded(drawn(width: 400, height: 200), "public.png")
        let preview = try Photo.preview(file, longerSide: 100)
        XCTAssertEqual([preview.width, preview.height], [100, 50])
    }

    func testWhatIsNoImageIsRefused() {
        for file in [Data(), Data("GIF89a".utf8)] {
            XCTAssertThrowsError(try Photo.decoded(file)) { XCTAssertTrue($0 is Problem) }
        }
    }

    func testAGoldenImageIsReadToTheByte() throws {
        let file = try encoded(drawn(width: 4, height: 4), "public.png")
        let expected: [UInt8] = (0..<16).flatMap { (pixel: Int) -> [UInt8] in
            [UInt8(pixel / 4), 7, UInt8(pixel % 4)]
        }
        XCTAssertEqual(try Pixels.stored(file, side: 4), expected)
        XCTAssertThrowsError(try Pixels.stored(file, side: 5))
    }

    /// Red counts the rows, blue the columns.
    private func drawn(width: Int, height: Int) throws -> CGImage {
        let context = try XCTUnwrap(
            CGContext(
                data: nil, width: width, height: height, bitsPerComponent: 8,
                bytesPerRow: width * 4, space: XCTUnwrap(CGColorSpace(name: CGColorSpace.sRGB)),
                bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue))
        let bytes = try XCTUnwrap(context.data).assumingMemoryBound(to: UInt8.self)
        for pixel in 0..<width * height {
            bytes[pixel * 4] = UInt8(truncatingIfNeeded: pixel / width)
            bytes[pixel * 4 + 1] = 7
            bytes[pixel * 4 + 2] = UInt8(truncatingIfNeeded: pixel % width)
        }
        return try XCTUnwrap(context.makeImage())
    }

    private func encoded(_ image: CGImage, _ type: String, orientation: Int = 1) throws -> Data {
        let data = NSMutableData()
        let target = try XCTUnwrap(
            CGImageDestinationCreateWithData(data as CFMutableData, type as CFString, 1, nil))
        let properties = [kCGImagePropertyOrientation: orientation] as CFDictionary
        CGImageDestinationAddImage(target, image, properties)
        XCTAssertTrue(CGImageDestinationFinalize(target))
        return data as Data
    }
}
