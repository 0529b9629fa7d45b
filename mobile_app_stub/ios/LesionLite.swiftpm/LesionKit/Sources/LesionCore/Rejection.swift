import Foundation

/// A Gaussian around each class: tells images of another kind from those the network has learned.
///
/// An image has D numbers: the logarithms of its probabilities, then the statistics of its pixels.
public struct Rejection: Decodable, Equatable, Sendable {
    /// What smaller probabilities count as.
    public let leastProbability: Double
    /// D x D.
    public let whitening: [[Double]]
    /// Of the classes, whitened.
    public let centres: [[Double]]
    /// If the squared distance to the nearest centre is larger, the app says that the image is of
    /// another kind.
    public let rejectAbove: Double

    private enum CodingKeys: String, CodingKey {
        case whitening, centres
        case leastProbability = "least_probability"
        case rejectAbove = "reject_above"
    }

    /// Whether an image, S x S x 3 bytes, that has these probabilities is of another kind.
    public func rejects(_ pixels: [UInt8], side: Int, _ probabilities: [Double]) -> Bool {
        squaredDistance(pixels, side: side, probabilities) > rejectAbove
    }

    /// The squared Mahalanobis distance to the nearest class.
    public func squaredDistance(
        _ pixels: [UInt8], side: Int, _ probabilities: [Double]
    ) -> Double {
        let logs = probabilities.map { log(max($0, leastProbability)) }
        let numbers = logs + ImageStatistics(pixels, side: side).all()
        let whitened = whitening.map { sum($0, numbers) { $0 * $1 } }
        let distances = centres.map { sum($0, whitened) { ($0 - $1) * ($0 - $1) } }
        return distances.min() ?? .infinity
    }

    /// Whether an app can compute it for so many labels.
    func isUsable(labels: Int) -> Bool {
        let size = labels + ImageStatistics.count
        let fits = { (rows: [[Double]]) in !rows.isEmpty && rows.allSatisfy { $0.count == size } }
        let inside = leastProbability > 0 && leastProbability < 1 && rejectAbove > 0
        return inside && fits(whitening) && whitening.count == size && fits(centres)
    }
}

/// Colours and detail of an image; lesionlite's train/data/statistics.py describes each number.
private struct ImageStatistics {
    static let count = 15
    // Added before a logarithm, so that plain images have one.
    private static let noContrast = 0.01
    private static let noDetail = 0.002

    private let side: Int
    private let channels: [[Double]]

    init(_ pixels: [UInt8], side: Int) {
        self.side = side
        channels = (0..<3).map { channel in
            (0..<side * side).map { Double(pixels[3 * $0 + channel]) / 255 }
        }
    }

    func all() -> [Double] {
        let (red, green, blue) = (channels[0], channels[1], channels[2])
        let differences = [zip(red, green).map { $0 - $1 }, zip(green, blue).map { $0 - $1 }]
        let grey = red.indices.map { (red[$0] + green[$0] + blue[$0]) / 3 }
        let means = channels.map(mean)
        let spreads = (channels + differences).map { log(deviation($0) + Self.noContrast) }
        let centred = zip(channels, means).map { mean(middle($0)) - $1 }
        let detail = [1, 2, 4, 8].map { block in
            log(roughness(shrink(grey, block), side: side / block) + Self.noDetail)
        }
        return means + spreads + centred + detail
    }

    /// The pixels at most a quarter of the side away from the centre.
    private func middle(_ channel: [Double]) -> [Double] {
        let inside = side / 4..<side - side / 4
        return channel.indices
            .filter { inside.contains($0 / side) && inside.contains($0 % side) }
            .map { channel[$0] }
    }

    /// The means of whole blocks.
    private func shrink(_ grey: [Double], _ block: Int) -> [Double] {
        let cells = side / block
        var means = [Double](repeating: 0, count: cells * cells)
        for y in 0..<cells * block {
            for x in 0..<cells * block {
                means[y / block * cells + x / block] += grey[y * side + x] / Double(block * block)
            }
        }
        return means
    }

    /// The mean difference between neighbours.
    private func roughness(_ grey: [Double], side: Int) -> Double {
        var total = 0.0
        for index in 0..<side * side {
            if index >= side { total += abs(grey[index] - grey[index - side]) }
            if index % side > 0 { total += abs(grey[index] - grey[index - 1]) }
        }
        return total / Double(2 * side * (side - 1))
    }
}

private func mean(_ values: [Double]) -> Double {
    values.reduce(0, +) / Double(values.count)
}

private func deviation(_ values: [Double]) -> Double {
    let average = mean(values)
    return mean(values.map { ($0 - average) * ($0 - average) }).squareRoot()
}

private func sum(_ a: [Double], _ b: [Double], _ term: (Double, Double) -> Double) -> Double {
    zip(a, b).reduce(0) { $0 + term($1.0, $1.1) }
}
