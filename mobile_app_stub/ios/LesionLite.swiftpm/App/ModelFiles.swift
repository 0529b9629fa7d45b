import CoreML
import Foundation
import LesionCore

/// What `lesionlite embed` placed in the app: the folder Model.
struct ModelFiles {
    let contract: Contract
    let golden: Golden
    private let folder: URL

    init() throws {
        folder = try Self.find()
        contract = try Contract.read(Self.read(folder.appending(path: "contract.json")))
        let answers = folder.appending(path: "golden/golden.json")
        golden = try Golden.read(Self.read(answers), contract)
    }

    func goldenImage(_ name: String) throws -> Data {
        try Self.read(folder.appending(path: "golden").appending(path: name))
    }

    /// The model, compiled at the first start, and kept.
    ///
    /// Xcode would compile it, too, were it a source file of the app. Then the name of the model
    /// would become the name of a class in the code, and every other model another program.
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

    /// Deletes what was kept, of other models, too.
    func forget() {
        try? FileManager.default.removeItem(at: cache.deletingLastPathComponent())
    }

    /// What the self-test found when it passed: on this system, in this version of the app.
    var keptVerdict: Golden.Verdict? {
        guard let json = try? Data(contentsOf: verdictFile) else { return nil }
        return try? JSONDecoder().decode([String: Golden.Verdict].self, from: json)[version]
    }

    func keep(_ verdict: Golden.Verdict) {
        // Without it the next start asks again: no error to show.
        try? FileManager.default.createDirectory(at: cache, withIntermediateDirectories: true)
        try? JSONEncoder().encode([version: verdict]).write(to: verdictFile)
    }

    private var verdictFile: URL { cache.appending(path: "selftest.json") }

    private var version: String {
        let app = Bundle.main.infoDictionary?["CFBundleVersion"] as? String ?? ""
        return "\(app), \(ProcessInfo.processInfo.operatingSystemVersionString)"
    }

    /// For this model alone. What lies there can be made again, so it needs no backup.
    private var cache: URL {
        URL.cachesDirectory.appending(path: "Model").appending(path: golden.sha256)
    }

    private func exists(_ file: URL) -> Bool {
        FileManager.default.fileExists(atPath: file.path)
    }

    /// Tools place an app's resources in its bundle, or in one inside of it; not all of them
    /// generate `Bundle.module`, which would know.
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
