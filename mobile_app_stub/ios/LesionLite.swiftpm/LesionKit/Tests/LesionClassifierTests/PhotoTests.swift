import CoreGraphics
import ImageIO
import LesionCore
import XCTest

@testable import LesionClassifier

/// What the frameworks do with pictures. These tests need an Apple system.
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
        let file = try png(drawn(width: 3, height: 250), orientation: 6)
        let photo = try Photo.decoded(file)
        XCTAssertEqual([photo.width, photo.height], [250, 3])
        var bytes: [UInt8] = []
        try Pixels.draw(photo) { bytes += $0 }
        XCTAssertEqual(bytes[0], 249)
        XCTAssertEqual(bytes[249 * 4], 0)
    }

    func testALargePhotoIsReducedAndAPreviewIsSmall() throws {
        let file = try png(drawn(width: 8192, height: 4096), orientation: 1)
        let photo = try Photo.decoded(file)
        XCTAssertEqual([photo.width, photo.height], [4096, 2048])
        let preview = try Photo.preview(file, longerSide: 1024)
        XCTAssertEqual([preview.width, preview.height], [1024, 512])
    }

    func testWhatIsNoImageIsRefused() {
        for file in [Data(), Data("GIF89a".utf8)] {
            XCTAssertThrowsError(try Photo.decoded(file)) { XCTAssertTrue($0 is Problem) }
        }
    }

    func testAGoldenImageIsReadToTheByte() throws {
        let file = try png(drawn(width: 4, height: 4), orientation: 1)
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

    private func png(_ image: CGImage, orientation: Int) throws -> Data {
        let data = NSMutableData()
        let target = try XCTUnwrap(
            CGImageDestinationCreateWithData(
                data as CFMutableData, "public.png" as CFString, 1, nil))
        let properties = [kCGImagePropertyOrientation: orientation] as CFDictionary
        CGImageDestinationAddImage(target, image, properties)
        XCTAssertTrue(CGImageDestinationFinalize(target))
        return data as Data
    }
}
