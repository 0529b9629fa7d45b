import Foundation

/// The model's input and the names of its answers. The app has no other knowledge of the model.
public struct Contract: Decodable, Equatable, Sendable {
    public enum Resize: String, CaseIterable, Sendable {
        /// The whole image to S x S, whatever its shape.
        case squash
        /// The shorter side to `resizeSide`, and the S x S centre of that.
        case shortest
    }

    public enum Interpolation: String, CaseIterable, Sendable {
        case nearest, bilinear, bicubic, area
    }

    /// Class names, in the order of the probabilities.
    public let labels: [String]
    /// S: the model takes S x S pixels.
    public let side: Int
    public let resize: Resize
    public let resizeSide: Int
    public let interpolation: Interpolation
    /// Share of each class in what training saw; empty if that is not known.
    public let prior: [Double]
    /// What the model adds to each logit, to answer for classes of another frequency; empty for
    /// zeros.
    public let logitAdjustment: [Double]
    /// If the largest probability is below it, the app says "not sure".
    public let unsureBelow: Double
    /// Tells images of another kind; nil if nothing does.
    public let rejection: Rejection?
    /// A sentence to show with every result; may be empty.
    public let note: String
    /// A sentence that the app always shows; may be empty.
    public let disclaimer: String

    /// The model answers as if the classes were this frequent; empty if that is not known.
    public var targetPrior: [Double] {
        if logitAdjustment.isEmpty { return prior }
        let weights = zip(prior, logitAdjustment).map { $0 * exp($1) }
        let sum = weights.reduce(0, +)
        return weights.map { $0 / sum }
    }

    /// Reads contract.json and refuses what this app cannot honour.
    ///
    /// - Throws: `Problem` that names the field.
    public static func read(_ json: Data) throws -> Contract {
        do {
            return try JSONDecoder().decode(Contract.self, from: json)
        } catch let fault as Fault {
            throw Problem("contract.json \(fault.text); embed the model again.")
        } catch {
            throw Problem("contract.json is no contract; embed the model again.")
        }
    }

    public init(from decoder: Decoder) throws {
        let fields = try decoder.container(keyedBy: Field.self)
        let version = fields.number(.version)
        if version != 1 {
            throw Fault("has version \(text(version)), this app reads version 1")
        }
        labels = try fields.labels()
        side = try fields.side()
        resize = try fields.choice(.resize)
        resizeSide = try fields.resizeSide(atLeast: side)
        interpolation = try fields.choice(.interpolation)
        let widens = fields.flag(.antialias)
        if !widens, [.bilinear, .bicubic].contains(interpolation) {
            throw Fault("resizes without antialias, which this app does not do")
        }
        prior = try fields.numbers(.prior, labels: labels.count)
        logitAdjustment = try fields.numbers(.logitAdjustment, labels: labels.count)
        if prior.contains(where: { $0 < 0 }) || (!prior.isEmpty && prior.reduce(0, +) <= 0) {
            throw Fault("has prior that holds no shares")
        }
        unsureBelow = try fields.threshold()
        rejection = try fields.rejection(labels: labels.count)
        note = (try? fields.decode(String.self, forKey: .note)) ?? ""
        disclaimer = (try? fields.decode(String.self, forKey: .disclaimer)) ?? ""
    }
}

/// A sentence that names the field and says what is wrong.
private struct Fault: Error {
    let text: String

    init(_ text: String) {
        self.text = text
    }
}

private enum Field: String, CodingKey {
    case version, labels, side, resize, interpolation, antialias, rejection, prior, note
    case disclaimer
    case logitAdjustment = "logit_adjustment"
    case resizeSide = "resize_side"
    case unsureBelow = "unsure_below"
}

// A field that is missing or of another type reads as nil, so that every refusal is a sentence.
extension KeyedDecodingContainer where Key == Field {
    fileprivate func number(_ field: Field) -> Double? {
        try? decode(Double.self, forKey: field)
    }

    fileprivate func whole(_ field: Field) -> Int? {
        try? decode(Int.self, forKey: field)
    }

    fileprivate func flag(_ field: Field) -> Bool {
        (try? decode(Bool.self, forKey: field)) ?? false
    }

    fileprivate func labels() throws -> [String] {
        let labels = (try? decode([String].self, forKey: .labels)) ?? []
        if labels.count < 2 || labels.contains("") {
            throw Fault("needs at least two labels, none of them empty")
        }
        if Set(labels).count != labels.count {
            throw Fault("has labels that are not unique")
        }
        return labels
    }

    fileprivate func side() throws -> Int {
        guard let side = whole(.side), side >= 32 else {
            throw Fault("has side \(text(number(.side))), which must be a whole number from 32")
        }
        return side
    }

    fileprivate func resizeSide(atLeast side: Int) throws -> Int {
        guard let length = whole(.resizeSide), length >= side else {
            let found = text(number(.resizeSide))
            throw Fault("has resize_side \(found), which must not be less than side")
        }
        return length
    }

    fileprivate func choice<Choice>(_ field: Field) throws -> Choice
    where Choice: RawRepresentable & CaseIterable, Choice.RawValue == String {
        let found = try? decode(String.self, forKey: field)
        guard let found, let choice = Choice(rawValue: found) else {
            let choices = Choice.allCases.map(\.rawValue).joined(separator: ", ")
            throw Fault("has \(field.rawValue) \(found ?? "none"), which must be one of \(choices)")
        }
        return choice
    }

    /// One number for each label, or none.
    fileprivate func numbers(_ field: Field, labels: Int) throws -> [Double] {
        if !contains(field) { return [] }
        let found = try? decode([Double].self, forKey: field)
        guard let found, found.isEmpty || found.count == labels else {
            throw Fault("has \(field.rawValue) that is not one number for each label")
        }
        return found
    }

    fileprivate func rejection(labels: Int) throws -> Rejection? {
        if !contains(.rejection) || ((try? decodeNil(forKey: .rejection)) ?? false) { return nil }
        let found = try? decode(Rejection.self, forKey: .rejection)
        guard let found, found.isUsable(labels: labels) else {
            throw Fault("has a rejection that this app cannot compute")
        }
        return found
    }

    fileprivate func threshold() throws -> Double {
        guard let threshold = number(.unsureBelow), threshold >= 0, threshold < 1 else {
            let found = text(number(.unsureBelow))
            throw Fault("has unsure_below \(found), which must be from 0 up to, not including, 1")
        }
        return threshold
    }
}

private func text(_ number: Double?) -> String {
    guard let number else { return "none" }
    return number == number.rounded() ? String(format: "%.0f", number) : String(number)
}
