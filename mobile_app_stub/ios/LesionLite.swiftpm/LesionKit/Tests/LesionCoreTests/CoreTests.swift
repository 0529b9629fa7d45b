import Foundation
import LesionCore
import XCTest

final class CoreTests: XCTestCase {
    private var cases: Cases!

    override func setUpWithError() throws {
        cases = try Cases.load()
    }

    func testContractsAreTakenOrRefusedByASentenceThatNamesTheField() throws {
        for example in cases.contracts {
            let read = { try Contract.read(example.contract.data) }
            if let field = example.problem {
                XCTAssertThrowsError(try read()) { error in
                    XCTAssertTrue((error as? Problem)?.message.contains(field) == true, "\(error)")
                }
            } else {
                XCTAssertEqual(try read().note, "drawn")
            }
        }
    }

    func testWhatIsNoContractIsRefused() {
        for text in ["", "null", "[]", "{"] {
            XCTAssertThrowsError(try Contract.read(Data(text.utf8))) { error in
                XCTAssertTrue(error is Problem)
            }
        }
    }

    func testAProblemIsShownAsItsSentence() {
        let error: Error = Problem("No image.")
        XCTAssertEqual(error.localizedDescription, "No image.")
    }

    func testTheModelAnswersForTheFrequenciesThatItsAdjustmentMakes() throws {
        let plain = try contract(prior: [1, 1, 1, 5].map { $0 / 8 }, adjustment: [])
        XCTAssertEqual(plain.targetPrior, plain.prior)
        // The last class is a fifth as frequent for the user as it was in training.
        let shift: [Double] = [0, 0, 0, -log(5.0)]
        let adjusted = try contract(prior: plain.prior, adjustment: shift)
        for share in adjusted.targetPrior { XCTAssertEqual(share, 1 / 4, accuracy: 1e-12) }
        XCTAssertEqual(try contract(prior: [], adjustment: shift).targetPrior, [])
    }

    func testSharesThatFitNoLabelsAreRefused() {
        for (prior, shift, field) in [
            ([0.25, 0.75], [], "prior"), ([-1, 1, 1, 0], [], "prior"),
            ([0, 0, 0, 0], [], "prior"), ([], [1], "logit_adjustment"),
        ] as [([Double], [Double], String)] {
            XCTAssertThrowsError(try contract(prior: prior, adjustment: shift)) { error in
                XCTAssertTrue((error as? Problem)?.message.contains(field) == true, "\(error)")
            }
        }
    }

    private func contract(prior: [Double], adjustment: [Double]) throws -> Contract {
        guard case .fields(var fields) = cases.contracts[0].contract else {
            throw Problem("The first case is no contract.")
        }
        fields["prior"] = .list(prior.map(JSON.number))
        fields["logit_adjustment"] = .list(adjustment.map(JSON.number))
        return try Contract.read(JSON.fields(fields).data)
    }

    func testOnlyPhotosOfMoreThan32MegapixelsAreReduced() {
        for (width, height, longer) in [
            (4032, 3024, nil), (8000, 4000, nil), (4000, 8000, nil), (20_000, 1500, nil),
            (8001, 4000, 4001), (12_000, 9000, 6000), (16_320, 12_240, 4080),
            (65_500, 400, 32_750), (0, 0, 5656),
        ] as [(Int, Int, Int?)] {
            let found = Sampling.longerSide(width: width, height: height)
            XCTAssertEqual(found, longer, "\(width) x \(height)")
        }
        let most = Sampling.longerSide(width: .max, height: .max) ?? .max
        XCTAssertLessThanOrEqual(most * most, Sampling.pixels)
    }

    func testGeometry() throws {
        for example in cases.geometry {
            let contract = try Contract.read(example.contract.data)
            let found = Geometry(width: example.width, height: example.height, contract)
            XCTAssertEqual([found.width, found.height], example.scaled)
            XCTAssertEqual([found.left, found.top], example.crop)
        }
    }

    func testInputsAreEqualToTheByte() throws {
        for example in cases.inputs {
            let contract = try Contract.read(example.contract.data)
            var preprocessor = Preprocessor(
                width: example.width, height: example.height, contract)
            Array(example.pixels).withUnsafeBufferPointer { preprocessor.add($0, channels: 3) }
            XCTAssertEqual(preprocessor.finish(), Array(example.expected))
        }
    }

    func testStripsOfRGBXGiveWhatTheWholeImageOfRGBGives() throws {
        let example = cases.inputs[4]
        let rgb = Array(example.pixels)
        var rgbx: [UInt8] = []
        for pixel in stride(from: 0, to: rgb.count, by: 3) {
            rgbx += rgb[pixel..<pixel + 3] + [255]
        }
        let contract = try Contract.read(example.contract.data)
        var preprocessor = Preprocessor(width: example.width, height: example.height, contract)
        let strip = 7 * example.width * 4
        for start in stride(from: 0, to: rgbx.count, by: strip) {
            let rows = Array(rgbx[start..<min(start + strip, rgbx.count)])
            rows.withUnsafeBufferPointer { preprocessor.add($0, channels: 4) }
        }
        XCTAssertEqual(preprocessor.finish(), Array(example.expected))
    }

    func testRanking() throws {
        for example in cases.ranking {
            let contract = try Contract.read(example.contract.data)
            let found = Ranking(example.probabilities, contract, [])
            XCTAssertEqual(found.top.map(\.label), example.top.map(\.label))
            XCTAssertEqual(found.top.map(\.probability), example.top.map(\.probability))
            XCTAssertEqual(found.unsure, example.unsure)
            XCTAssertFalse(found.rejected)  // these contracts do not tell
        }
    }

    func testImagesOfAnotherKind() throws {
        for example in cases.rejection {
            let contract = try Contract.read(example.contract.data)
            let pixels = Array(example.pixels)
            let rejection = try XCTUnwrap(contract.rejection)
            let found = rejection.squaredDistance(
                pixels, side: contract.side, example.probabilities)
            XCTAssertEqual(found, example.distance, accuracy: 1e-5 * example.distance)
            let ranking = Ranking(example.probabilities, contract, pixels)
            XCTAssertEqual(ranking.rejected, example.rejected)
        }
    }

    func testGoldenAnswersPassWithinTheToleranceAndFailBeyond() throws {
        let contract = try Contract.read(cases.contracts[0].contract.data)
        for example in cases.golden {
            let golden = try Golden.read(example.golden.data, contract)
            XCTAssertEqual(golden.artifact, example.artifact)
            let verdict = golden.judge(example.found.map { $0.map { $0 ?? .nan } })
            XCTAssertEqual(verdict.passed, example.passed)
            if let largest = example.largest {
                XCTAssertEqual(verdict.largest, largest)
            } else {
                XCTAssertTrue(verdict.largest.isNaN)
            }
        }
    }

    func testTooFewAnswersFail() throws {
        let contract = try Contract.read(cases.contracts[0].contract.data)
        let golden = try Golden.read(cases.golden[0].golden.data, contract)
        XCTAssertFalse(golden.judge([]).passed)
        XCTAssertFalse(golden.judge([golden.probabilities[0]]).passed)
    }

    func testGoldenVectorsOfAnotherContractAreRefused() throws {
        let two = try Contract.read(try XCTUnwrap(cases.ranking.last).contract.data)
        let json = try cases.golden[0].golden.data
        for (text, field) in [(json, "labels"), (Data("null".utf8), "golden")] {
            XCTAssertThrowsError(try Golden.read(text, two)) { error in
                XCTAssertTrue((error as? Problem)?.message.contains(field) == true, "\(error)")
            }
        }
    }
}
