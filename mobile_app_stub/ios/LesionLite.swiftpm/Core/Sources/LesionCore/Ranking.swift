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

    /// - Parameter probabilities: in the order of the labels.
    public init(_ probabilities: [Double], _ contract: Contract) {
        // The index breaks ties, because Swift's sort may change the order of equal elements.
        let order = probabilities.indices.sorted {
            (-probabilities[$0], $0) < (-probabilities[$1], $1)
        }
        top = order.prefix(3).map {
            Entry(label: contract.labels[$0], probability: probabilities[$0])
        }
        unsure = (top.first?.probability ?? 0) < contract.unsureBelow
    }
}
