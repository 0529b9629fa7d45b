// Resizes an image of any size to the model's input, bit for bit as in training.
//
// Training used Pillow. Vision resizes in another way, and cannot resize to more than it crops.
// So this is Pillow's algorithm for 8-bit images: a horizontal and a vertical pass with fixed-point
// weights, each rounded to 8 bits.

/// The size to resize the image to, and the square to crop from that.
public struct Geometry: Equatable, Sendable {
    public let width, height, left, top: Int

    /// - Parameters:
    ///   - width: of the upright image in pixels
    ///   - height: likewise
    public init(width: Int, height: Int, _ contract: Contract) {
        let side = contract.side
        guard contract.resize == .shortest else {
            (self.width, self.height, left, top) = (side, side, 0, 0)
            return
        }
        let scale = Double(contract.resizeSide) / Double(min(width, height))
        let lengths = [width, height].map { length in
            let scaled = (Double(length) * scale).rounded(.toNearestOrEven)
            return max(contract.resizeSide, Int(scaled))
        }
        (self.width, self.height) = (lengths[0], lengths[1])
        (left, top) = ((lengths[0] - side) / 2, (lengths[1] - side) / 2)
    }
}

/// Makes the model's input from rows of pixels, so that a large photo need not be in memory.
///
/// Call `add` with all rows, from the top, and then `finish`.
public struct Preprocessor {
    private let side, width, height: Int
    private let columns, rows: [Tap]
    private var narrow: [UInt8]  // all rows, resized to the width of the input
    private var filled = 0

    /// - Parameters:
    ///   - width: of the upright image in pixels
    ///   - height: likewise
    public init(width: Int, height: Int, _ contract: Contract) {
        let to = Geometry(width: width, height: height, contract)
        let side = contract.side
        (self.side, self.width, self.height) = (side, width, height)
        columns = taps(width, to.width, contract.interpolation, to.left..<to.left + side)
        rows = taps(height, to.height, contract.interpolation, to.top..<to.top + side)
        narrow = [UInt8](repeating: 0, count: height * side * 3)
    }

    /// Resizes some rows horizontally.
    ///
    /// - Parameters:
    ///   - pixels: rows of the image, without gaps
    ///   - channels: 3 (RGB) or 4 (RGBX; the fourth is dropped)
    public mutating func add(_ pixels: UnsafeBufferPointer<UInt8>, channels: Int) {
        let count = pixels.count / (width * channels)
        precondition(filled + count <= height, "more rows than the image has")
        narrow.withUnsafeMutableBufferPointer { narrow in
            for row in 0..<count {
                let from = Line(start: row * width * channels, step: channels)
                let to = Line(start: (filled + row) * side * 3, step: 3)
                resample(pixels, from, columns, narrow, to)
            }
        }
        filled += count
    }

    /// Resizes vertically.
    ///
    /// - Returns: RGB [S, S, 3]
    public func finish() -> [UInt8] {
        precondition(filled == height, "fewer rows than the image has")
        var input = [UInt8](repeating: 0, count: side * side * 3)
        input.withUnsafeMutableBufferPointer { input in
            narrow.withUnsafeBufferPointer { narrow in
                for x in 0..<side {
                    let line = Line(start: x * 3, step: side * 3)
                    resample(narrow, line, rows, input, line)
                }
            }
        }
        return input
    }
}

/// The places of the pixels of a row or a column.
private struct Line {
    let start, step: Int
}

/// For one output pixel: the first source pixel, and the weights.
private struct Tap {
    let first: Int
    let weights: [Int]
}

private let bits = 22  // fractional bits of a weight; Pillow's 32 - 8 - 2
private let half = 1 << (bits - 1)

/// Resamples a row or column of three channels.
private func resample(
    _ source: UnsafeBufferPointer<UInt8>, _ from: Line, _ taps: [Tap],
    _ target: UnsafeMutableBufferPointer<UInt8>, _ to: Line
) {
    var place = to.start
    for tap in taps {
        var (red, green, blue) = (half, half, half)
        var at = from.start + tap.first * from.step
        for weight in tap.weights {
            red += Int(source[at]) * weight
            green += Int(source[at + 1]) * weight
            blue += Int(source[at + 2]) * weight
            at += from.step
        }
        target[place] = UInt8(clamping: red >> bits)
        target[place + 1] = UInt8(clamping: green >> bits)
        target[place + 2] = UInt8(clamping: blue >> bits)
        place += to.step
    }
}

private func taps(
    _ from: Int, _ to: Int, _ interpolation: Contract.Interpolation, _ places: Range<Int>
) -> [Tap] {
    let scale = Double(from) / Double(to)
    let whole = [1 << bits]
    if from == to {
        return places.map { Tap(first: $0, weights: whole) }
    }
    switch interpolation {
    case .nearest: return steps(scale, places).map { Tap(first: $0, weights: whole) }
    case .area: return places.map { tap($0, from, scale, support: 0.5, area) }
    case .bilinear: return places.map { tap($0, from, scale, support: 1, bilinear) }
    case .bicubic: return places.map { tap($0, from, scale, support: 2, bicubic) }
    }
}

/// As Pillow, adds the scale repeatedly; multiplying would sometimes round to another pixel.
private func steps(_ scale: Double, _ places: Range<Int>) -> [Int] {
    var at = scale * 0.5
    var found: [Int] = []
    for place in 0..<places.upperBound {
        if places.contains(place) { found.append(Int(at)) }
        at += scale
    }
    return found
}

private func tap(
    _ place: Int, _ size: Int, _ scale: Double, support: Double, _ filter: (Double) -> Double
) -> Tap {
    let stretch = max(scale, 1)  // the filter widens when the image shrinks
    let reach = support * stretch
    let center = (Double(place) + 0.5) * scale
    let first = max(0, Int(center - reach + 0.5))
    let end = min(size, Int(center + reach + 0.5))
    let weights = (first..<end).map { filter((Double($0) - center + 0.5) / stretch) }
    let sum = weights.reduce(0, +)
    return Tap(first: first, weights: weights.map { fixed($0 / sum) })
}

private func fixed(_ weight: Double) -> Int {
    Int(weight * Double(1 << bits) + (weight < 0 ? -0.5 : 0.5))
}

private func area(_ x: Double) -> Double {
    x > -0.5 && x <= 0.5 ? 1 : 0
}

private func bilinear(_ x: Double) -> Double {
    max(0, 1 - abs(x))
}

private func bicubic(_ x: Double) -> Double {
    let a = -0.5
    let x = abs(x)
    if x < 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
    if x < 2 { return (((x - 5) * x + 8) * x - 4) * a }
    return 0
}
