import Basics
import Features
import TestKit
import Tensors
import XCTest

/// On every rank of the start: 1, 2, 3 and 4 in turn.
final class PCATests: XCTestCase {
  private let golden = Golden.load("neighbours")

  private func set(_ name: String) throws -> FeatureSet {
    let shape = golden.shape("\(name).bank")
    return FeatureSet(
      dealing: Tensor(golden.floats("\(name).bank"), [shape[0], shape[1]]),
      labels: golden.ints("\(name).bank_labels").map { Int32($0) }, to: try sharedCommunicator())
  }

  func testComponentsAreThoseOfScikitLearn() throws {
    for name in ["set0", "set1", "set2"] {
      let shape = golden.shape("\(name).pca.components")
      let pca = try PCA.fit(try set(name), components: shape[0], communicator: try sharedCommunicator())
      expectClose(pca.mean.array, golden.floats("\(name).pca.mean"), relative: 1e-6, name)
      XCTAssertEqual(pca.components.shape, [shape[0], shape[1]])
      expectClose(pca.components.array, golden.floats("\(name).pca.components"), absolute: 1e-5, name)
      expectClose(
        pca.explainedVariance.map(Float.init), golden.floats("\(name).pca.variance"), relative: 1e-6, name)
      expectClose(pca.explainedRatio.map(Float.init), golden.floats("\(name).pca.ratio"), relative: 1e-6, name)
      let queries = golden.floats("\(name).queries").prefix(10 * shape[1])
      expectClose(
        pca.project(Tensor(Array(queries), [10, shape[1]])).array, golden.floats("\(name).pca.projected"),
        absolute: 1e-3, name)
    }
  }

  func testTokensOfAnImageAreRowsOfTheirOwn() throws {
    let communicator = try sharedCommunicator()
    let (images, tokens, width) = (6, 5, 4)
    let values = ExactRandom.floats(images * tokens * width, seed: 1)
    let labels = [Int32](repeating: 0, count: images)
    let joint = try PCA.fit(
      FeatureSet(dealing: Tensor(values, [images, tokens, width]), labels: labels, to: communicator), components: 3,
      communicator: communicator)
    let range = blockRange(count: images, part: communicator.rank, of: communicator.size)
    let rows = Tensor(values, [images * tokens, width]).rows(range.lowerBound * tokens..<range.upperBound * tokens)
    let flat = try PCA.fit(rows: rows, components: 3, communicator: communicator)
    XCTAssertEqual(joint.components.array, flat.components.array)
    XCTAssertEqual(joint.explainedVariance, flat.explainedVariance)
  }

  func testEqualRowsHaveNoVariance() throws {
    let communicator = try sharedCommunicator()
    let set = FeatureSet(
      dealing: Tensor(repeating: 3, [9, 4]), labels: [Int32](repeating: 0, count: 9), to: communicator)
    let pca = try PCA.fit(set, components: 2, communicator: communicator)
    XCTAssertEqual(pca.explainedVariance, [0, 0])
    XCTAssertEqual(pca.explainedRatio, [0, 0])
  }

  func testFeaturesThatHaveNoComponentsAreRefused() throws {
    let communicator = try sharedCommunicator()
    func fit(_ values: [Float]) throws {
      let labels = [Int32](repeating: 0, count: values.count / 2)
      _ = try PCA.fit(
        FeatureSet(dealing: Tensor(values, [labels.count, 2]), labels: labels, to: communicator), components: 1,
        communicator: communicator)
    }
    XCTAssertThrowsError(try fit([1, 2])) { XCTAssertEqual(($0 as? Failure)?.code, .badData) }
    XCTAssertThrowsError(try fit([1, 2, 3, .infinity, 5, 6])) {
      XCTAssertEqual(($0 as? Failure)?.code, .nonFinite)
    }
  }
}
