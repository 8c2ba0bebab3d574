import TestKit
import XCTest

/// The transcriptions lean on `Plain`, so its gradients are held against central differences.
final class PlainTapeTests: XCTestCase {
  private func worstError(_ body: ([Plain]) -> Plain, _ inputs: [Plain]) -> Double {
    let result = body(inputs)
    result.backward()
    var worst = 0.0
    for (place, input) in inputs.enumerated() {
      for i in input.values.indices {
        func moved(_ step: Double) -> Double {
          var values = input.values
          values[i] += step
          var changed = inputs
          changed[place] = Plain(values, input.rows, input.columns)
          return body(changed).item
        }
        let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5
        worst = max(worst, abs(slope - input.gradient[i]))
      }
    }
    return worst
  }

  private func matrix(_ rows: Int, _ columns: Int, _ seed: UInt64) -> Plain {
    Plain(ExactRandom.floats(rows * columns, seed: seed).map(Double.init), rows, columns)
  }

  func testGradientsEqualCentralDifferences() {
    let error = worstError(
      { m in
        let product = m[0].times(m[1]).gelu + m[2]  // [3, 5] + [1, 5]
        let centred = (product - product.columnMeans) / (product * product).rowSums.squareRoot
        let picked = Plain.stacked([centred.rows([2, 0, 2]), centred.rectified]).columns(1..<4)
        return (picked.exp.rowSums.log + 0.5 * picked.transposed.times(picked).mean).mean
      }, [matrix(3, 4, 1), matrix(4, 5, 2), matrix(1, 5, 3)])
    XCTAssertLessThan(error, 1e-8)
  }

  func testTheComparisonCanFail() {
    let wrong = worstError(
      { m in
        m[0].map {
          $0 * $0
        } derivative: { x, _ in
          x
        }.mean
      }, [matrix(2, 2, 4)])
    XCTAssertGreaterThan(wrong, 1e-2)
  }
}
