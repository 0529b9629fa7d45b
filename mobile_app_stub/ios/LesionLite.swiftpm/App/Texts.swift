import Foundation

/// The app's sentences in the user's language, from the folder Resources.
enum Texts {
    /// The sentence of a key of Localizable.strings, with its arguments filled in.
    static func text(_ key: String, _ arguments: String...) -> String {
        let pattern = language.localizedString(forKey: key, value: nil, table: nil)
        return String(format: pattern, arguments: arguments)
    }

    /// What LesionKit says, in the user's language if Problems.strings holds it.
    static func problem(_ message: String) -> String {
        language.localizedString(forKey: message, value: message, table: "Problems")
    }

    /// NOTICE.txt, in paragraphs, which are easier to hear than one long text.
    static let notice: [String] = {
        guard let file = resources.url(forResource: "NOTICE", withExtension: "txt"),
            let notice = try? String(contentsOf: file, encoding: .utf8)
        else {
            return [text("no_licences")]
        }
        return notice.components(separatedBy: "\n\n")
    }()

    /// Some tools place an app's resources in its bundle, others in a bundle inside of it.
    private static let resources: Bundle = {
        let inner = Bundle.main.paths(forResourcesOfType: "bundle", inDirectory: nil)
        let bundles = [Bundle.main] + inner.compactMap(Bundle.init(path:))
        return bundles.first { $0.url(forResource: "NOTICE", withExtension: "txt") != nil } ?? .main
    }()

    private static let language = folder(Locale.preferredLanguages)

    /// The folder of the first language that the app has: for `de-AT` that of `de`, and for none
    /// that of `en`.
    ///
    /// It is chosen here, because in a bundle inside of the app Foundation would choose from the
    /// app's languages, which are not always those of its resources.
    static func folder(_ preferred: [String]) -> Bundle {
        for language in preferred + ["en"] {
            var parts = language.split(separator: "-")
            while !parts.isEmpty {
                let name = parts.joined(separator: "-")
                let path = resources.path(forResource: name, ofType: "lproj")
                if let folder = path.flatMap(Bundle.init(path:)) { return folder }
                parts.removeLast()
            }
        }
        return resources
    }
}
