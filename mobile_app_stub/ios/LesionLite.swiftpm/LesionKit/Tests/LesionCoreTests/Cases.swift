import Foundation
import LesionCore

/// Cases that the Python reference made (cases.json). Every app's core must agree with them.
struct Cases: Decodable {
    let contracts: [ContractCase]
    let geometry: [GeometryCase]
    let inputs: [InputCase]
    let ranking: [RankingCase]
    let rejection: [RejectionCase]
    let golden: [GoldenCase]

    /// `lesionlite embed` copies the file into the app; here it is beside the templates.
    static func load() throws -> Cases {
        var folder = URL(fileURLWithPath: #filePath)
        for _ in 0..<7 {
            folder.deleteLastPathComponent()
            let file = folder.appendingPathComponent("cases.json")
            if let json = try? Data(contentsOf: file) {
                return try JSONDecoder().decode(Cases.self, from: json)
            }
        }
        throw Problem("There is no cases.json above the tests.")
    }
}

struct ContractCase: Decodable {
    let contract: JSON
    let problem: String?
}

struct GeometryCase: Decodable {
    let width, height: Int
    let contract: JSON
    let scaled, crop: [Int]
}

struct InputCase: Decodable {
    let width, height: Int
    let pixels, expected: Data
    let contract: JSON
}

struct RankingCase: Decodable {
    struct Entry: Decodable {
        let label: String
        let probability: Double

        init(from decoder: Decoder) throws {
            var pair = try decoder.unkeyedContainer()
            label = try pair.decode(String.self)
            probability = try pair.decode(Double.self)
        }
    }

    let probabilities: [Double]
    let contract: JSON
    let top: [Entry]
    let unsure: Bool
}

struct RejectionCase: Decodable {
    let pixels: Data
    let probabilities: [Double]
    let contract: JSON
    let distance: Double
    let rejected: Bool
}

struct GoldenCase: Decodable {
    let golden: JSON
    let artifact: String
    let found: [[Double?]]
    let passed: Bool
    let largest: Double?
}

/// A part of the document, unparsed, because the core must parse it, wrong fields included.
enum JSON: Codable, Equatable {
    case null
    case flag(Bool)
    case number(Double)
    case text(String)
    case list([JSON])
    case fields([String: JSON])

    init(from decoder: Decoder) throws {
        let value = try decoder.singleValueContainer()
        if value.decodeNil() {
            self = .null
        } else if let flag = try? value.decode(Bool.self) {
            self = .flag(flag)
        } else if let number = try? value.decode(Double.self) {
            self = .number(number)
        } else if let text = try? value.decode(String.self) {
            self = .text(text)
        } else if let list = try? value.decode([JSON].self) {
            self = .list(list)
        } else {
            self = .fields(try value.decode([String: JSON].self))
        }
    }

    func encode(to encoder: Encoder) throws {
        var value = encoder.singleValueContainer()
        switch self {
        case .null: try value.encodeNil()
        case .flag(let flag): try value.encode(flag)
        case .number(let number): try value.encode(number)
        case .text(let text): try value.encode(text)
        case .list(let list): try value.encode(list)
        case .fields(let fields): try value.encode(fields)
        }
    }

    var data: Data {
        get throws { try JSONEncoder().encode(self) }
    }
}
