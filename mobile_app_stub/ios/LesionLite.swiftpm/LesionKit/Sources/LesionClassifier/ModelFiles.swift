import CoreML
import Foundation
import LesionCore

/// The folder Model, which `lesionlite embed` placed.
struct ModelFiles {
    let contract: Contract
    let golden: Golden
    private let folder: URL

    /// - Parameter given: nil to look for it among the resources of the app
    init(_ given: URL?) throws {
        folder = try given ?? Self.find()
        contract = try Contract.read(Self.read(folder.appending(path: "contract.json")))
        let answers = folder.appending(path: "golden/golden.json")
        golden = try Golden.read(Self.read(answers), contract)
    }

    func goldenImage(_ name: String) throws -> Data {
        try Self.read(folder.appending(path: "golden").appending(path: name))
    }

    /// The model, which is compiled at the first start and then kept.
    ///
    /// Xcode could compile it as a source file of the app. But then the model's name would be the
    /// name of a class, and each model would need other code.
    func compiled() async throws -> URL {
        let name = URL(filePath: golden.artifact).deletingPathExtension().lastPathComponent
        let embedded = folder.appending(path: "\(name).mlmodelc")
        if exists(embedded) { return embedded }
        let kept = cache.appending(path: "\(name).mlmodelc")
        if exists(kept) { return kept }
        let made = try await MLModel.compileModel(at: folder.appending(path: golden.artifact))
        forget()
        try FileManager.default.createDirectory(at: cache, withIntermediateDirectories: true)
        try FileManager.default.moveItem(at: made, to: kept)
        return kept
    }

    /// Deletes all kept models.
    func forget() {
        try? FileManager.default.removeItem(at: cache.deletingLastPathComponent())
    }

    /// The result of a passed self-test of this system and this version of the app.
    var keptVerdict: Golden.Verdict? {
        guard let json = try? Data(contentsOf: verdictFile) else { return nil }
        return try? JSONDecoder().decode([String: Golden.Verdict].self, from: json)[version]
    }

    func keep(_ verdict: Golden.Verdict) {
        // If this fails, the next start tests again; the user need not know.
        try? FileManager.default.createDirectory(at: cache, withIntermediateDirectories: true)
        try? JSONEncoder().encode([version: verdict]).write(to: verdictFile)
    }

    private var verdictFile: URL { cache.appending(path: "selftest.json") }

    private var version: String {
        let app = Bundle.main.infoDictionary?["CFBundleVersion"] as? String ?? ""
        return "\(app), \(ProcessInfo.processInfo.operatingSystemVersionString)"
    }

    /// A folder for this model alone. Its files can be made again, so they need no backup.
    private var cache: URL {
        URL.cachesDirectory.appending(path: "Model").appending(path: golden.sha256)
    }

    private func exists(_ file: URL) -> Bool {
        FileManager.default.fileExists(atPath: file.path)
    }

    /// Some tools place an app's resources in its bundle, others in a bundle inside of it. Not all
    /// of them generate `Bundle.module`.
    private static func find() throws -> URL {
        let inner = Bundle.main.paths(forResourcesOfType: "bundle", inDirectory: nil)
        let bundles = [Bundle.main] + inner.compactMap(Bundle.init(path:))
        let folders = bundles.compactMap { $0.url(forResource: "Model", withExtension: nil) }
        guard let folder = folders.first else {
            throw Problem("There is no model in this app; embed one with lesionlite embed.")
        }
        return folder
    }

    private static func read(_ file: URL) throws -> Data {
        do {
            return try Data(contentsOf: file)
        } catch {
            throw Problem("\(file.lastPathComponent) is missing; embed the model again.")
        }
    }
}
