import Storage
import XCTest

/// What compares files must be able to find a difference.
final class StoredArrayTests: XCTestCase {
  private func floats(_ values: [Float], shape: [Int]? = nil) -> StoredArray {
    StoredArray(kind: .float32, shape: shape ?? [values.count], bytes: values.withUnsafeBytes { Array($0) })
  }

  private func integers(_ values: [Int64]) -> StoredArray {
    StoredArray(kind: .int64, shape: [values.count], bytes: values.withUnsafeBytes { Array($0) })
  }

  private var sample: [String: StoredArray] {
    [
      "a": floats([1, 0, 3]), "n": integers([4, 5]), "m.running_mean": floats([1e-9, -2e-9]),
      "m.running_var": floats([1, 1]),
    ]
  }

  private func changed(_ name: String, _ array: StoredArray?) -> [String: StoredArray] {
    var copy = sample
    copy[name] = array
    return copy
  }

  func testEveryBitCounts() {
    XCTAssertEqual(sample.differences(from: sample), [])
    XCTAssertEqual(sample.differences(from: changed("a", floats([1, -0.0, 3]))), ["a"])
    XCTAssertEqual(sample.differences(from: changed("a", floats([1, 0, 3], shape: [3, 1]))), ["a"])
    XCTAssertEqual(sample.differences(from: changed("n", integers([4, 6]))), ["n"])
    XCTAssertEqual(sample.differences(from: changed("n", nil)), ["n"])
    XCTAssertEqual(changed("n", nil).differences(from: sample), ["n"])
  }

  func testRoundingIsAllowedForNumbersInSinglePrecisionAlone() {
    func differences(_ name: String, _ array: StoredArray?) -> [String] {
      changed(name, array).differences(from: sample, relative: 1e-5)
    }
    XCTAssertEqual(differences("a", floats([1, 1e-6, 3])), [])
    XCTAssertEqual(differences("a", floats([1, 1e-4, 3])), ["a"])
    XCTAssertEqual(differences("a", floats([1, .nan, 3])), ["a"])
    XCTAssertEqual(differences("a", nil), ["a"])
    XCTAssertEqual(differences("a", floats([1, 0, 3], shape: [3, 1])), ["a"])
    XCTAssertEqual(differences("n", integers([4, 6])), ["n"])
    // A running mean is measured by the deviation beside it.
    XCTAssertEqual(differences("m.running_mean", floats([3e-9, 2e-9])), [])
    XCTAssertEqual(differences("m.running_mean", floats([1e-4, 0])), ["m.running_mean"])
    XCTAssertEqual(differences("m.running_var", floats([1, 1.001])), ["m.running_var"])
  }

  func testNumbersAreReadAsTheyWereStored() {
    XCTAssertEqual(floats([1.5, -2]).floats, [1.5, -2])
    XCTAssertEqual(integers([7, -1]).integers, [7, -1])
  }
}
