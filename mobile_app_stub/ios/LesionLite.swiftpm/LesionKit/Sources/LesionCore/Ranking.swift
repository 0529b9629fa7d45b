/// What the app shows of an answer.
public struct Ranking: Equatable, Sendable {
    public struct Entry: Equatable, Sendable {
        public let label: String
        public let probability: Double
    }

    /// The most probable classes; ties are in the order of the labels.
    public let top: [Entry]
    /// Whether the first is below the contract's threshold.
    public let unsure: Bool
    /// Whether the image is of another kind than the network has learned.
    public let rejected: Bool

    /// - Parameters:
    ///   - probabilities: in the order of the labels.
    ///   - pixels: the model's input.
    public init(_ probabilities: [Double], _ contract: Contract, _ pixels: [UInt8]) {
        // The index breaks ties, because Swift's sort may change the order of equal elements.
        let order = probabilities.indices.sorted {
            (-probabilities[$0], $0) < (-probabilities[$1], $1)
        }
        top = order.prefix(3).map {
            Entry(label: contract.labels[$0], probability: probabilities[$0])
        }
        unsure = (top.first?.probability ?? 0) < contract.unsureBelow
        rejected =
            contract.rejection?.rejects(pixels, side: contract.side, probabilities) ?? false
    }
}
