import Foundation

/// An error that the user or the app's developer can fix. Its message is a sentence to show.
public struct Problem: LocalizedError, Equatable {
    public let message: String

    public init(_ message: String) {
        self.message = message
    }

    public var errorDescription: String? { message }
}
