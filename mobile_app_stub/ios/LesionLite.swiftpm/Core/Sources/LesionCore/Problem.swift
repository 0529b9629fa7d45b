import Foundation

/// What the user or the app's developer can mend: one sentence, fit to be shown.
public struct Problem: LocalizedError, Equatable {
    public let message: String

    public init(_ message: String) {
        self.message = message
    }

    public var errorDescription: String? { message }
}
