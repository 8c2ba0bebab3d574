import Basics
import TestKit
import XCTest

@testable import Tensors

final class NormalizeKernelTests: XCTestCase {
  override func tearDown() { ThreadTeam.configure(threads: 1) }

  private let count = 5

  func testLayerNormForward() {
    onEverySet { set in
      for width in oddWidths {
        let (x, branch) = (tensor([count, width], seed: 30), tensor([count, width], seed: 31))
        let small = (0..<3).map { tensor([width], seed: 32 + UInt64($0)) }
        let (sum, y) = (Tensor(uninitialized: x.shape), Tensor(uninitialized: x.shape))
        let (mean, rstd) = (Tensor(uninitialized: [count]), Tensor(uninitialized: [count]))
        Kernels.layerNorm(
          x, branch: branch, branchBias: small[0], weight: small[1], bias: small[2], eps: 1e-3, sum: sum, into: y,
          mean: mean, rstd: rstd)
        var sums: [[Double]] = []
        var normalized: [[Double]] = []
        for i in 0..<count {
          let s = (0..<width).map { j in
            Double(x.array[i * width + j]) + Double(branch.array[i * width + j]) + Double(small[0].array[j])
          }
          let m = s.reduce(0, +) / Double(width)
          let r = 1 / (s.reduce(0) { $0 + ($1 - m) * ($1 - m) } / Double(width) + 1e-3).squareRoot()
          sums.append(s)
          normalized.append(
            (0..<width).map { (s[$0] - m) * r * Double(small[1].array[$0]) + Double(small[2].array[$0]) })
        }
        expectClose(sum.array, flat(sums), relative: 1e-6, absolute: 1e-6, "\(set) sum \(width)")
        expectClose(y.array, flat(normalized), relative: 1e-5, absolute: 5e-6, "\(set) y \(width)")
        let again = Tensor(uninitialized: y.shape)
        Kernels.layerNormAgain(sum, mean: mean, rstd: rstd, weight: small[1], bias: small[2], into: again)
        XCTAssertEqual(again.array, y.array, "\(set) again \(width)")
      }
    }
  }

  func testLayerNormBackward() {
    onEverySet { set in
      for width in oddWidths {
        for threads in 1...2 {
          ThreadTeam.configure(threads: threads)
          checkLayerNormBackward(set, width)
        }
      }
    }
  }

  private func checkLayerNormBackward(_ set: InstructionSet, _ width: Int) {
    let t = (0..<3).map { tensor([count, width], seed: 40 + UInt64($0)) }  // dy, dsum, sum
    let weight = tensor([width], seed: 44)
    let (mean, rstd) = (tensor([count], seed: 45), tensor([count], seed: 46))
    let dx = Tensor(uninitialized: t[0].shape)
    let sums = (0..<3).map { _ in Tensor(zeros: [width]) }
    Kernels.layerNormBackward(
      t[0], dsum: t[1], sum: t[2], mean: mean, rstd: rstd, weight: weight, into: dx, weightGradient: sums[0],
      biasGradient: sums[1], branchBiasGradient: sums[2])
    var expected = [[Double]](repeating: [Double](repeating: 0, count: width), count: 3)
    var expectedInput: [[Double]] = []
    for i in 0..<count {
      let (m, r) = (Double(mean.array[i]), Double(rstd.array[i]))
      let dy = (0..<width).map { Double(t[0].array[i * width + $0]) }
      let xhat = (0..<width).map { (Double(t[2].array[i * width + $0]) - m) * r }
      let g = (0..<width).map { dy[$0] * Double(weight.array[$0]) }
      let gMean = g.reduce(0, +) / Double(width)
      let gxMean = zip(g, xhat).reduce(0) { $0 + $1.0 * $1.1 } / Double(width)
      let row = (0..<width).map { (g[$0] - gMean - xhat[$0] * gxMean) * r + Double(t[1].array[i * width + $0]) }
      expectedInput.append(row)
      for j in 0..<width {
        expected[0][j] += dy[j] * xhat[j]
        expected[1][j] += dy[j]
        expected[2][j] += row[j]
      }
    }
    expectClose(dx.array, flat(expectedInput), relative: 1e-5, absolute: 5e-6, "\(set) dx \(width)")
    for k in 0..<3 {
      expectClose(
        sums[k].array, expected[k].map { Float($0) }, relative: 1e-5, absolute: 1e-5, "\(set) column sum \(k) \(width)")
    }
  }

  func testNormalizeRows() {
    onEverySet { set in
      for width in oddWidths where width > 1 {
        let x = tensor([count, width], seed: 50)
        let y = Tensor(uninitialized: x.shape)
        Kernels.normalizeRows(x, eps: 1e-6, into: y)
        let expected = rows(x.array, width).map { row -> [Double] in
          let m = row.reduce(0, +) / Double(width)
          let v = row.reduce(0) { $0 + ($1 - m) * ($1 - m) } / Double(width - 1)
          return row.map { ($0 - m) / (v + 1e-6).squareRoot() }
        }
        expectClose(y.array, flat(expected), relative: 1e-5, absolute: 5e-6, "\(set) \(width)")
      }
    }
  }

  func testL2Normalize() {
    onEverySet { set in
      for width in oddWidths {
        let x = tensor([count, width], seed: 51)
        x.rows(0..<1).fill(0)
        let dy = tensor([count, width], seed: 52)
        let (y, dx) = (Tensor(uninitialized: x.shape), Tensor(uninitialized: x.shape))
        let inverse = Tensor(uninitialized: [count])
        Kernels.l2Normalize(x, floor: 1e-12, into: y, inverse: inverse)
        Kernels.l2NormalizeBackward(dy, y: y, inverse: inverse, floor: 1e-12, into: dx)
        let (input, output) = (rows(x.array, width), rows(dy.array, width))
        var expected: [[Double]] = []
        var gradient: [[Double]] = []
        for (v, d) in zip(input, output) {
          let norm = max(v.reduce(0) { $0 + $1 * $1 }.squareRoot(), 1e-12)
          let unit = v.map { $0 / norm }
          let along = norm > 1e-12 ? zip(unit, d).reduce(0) { $0 + $1.0 * $1.1 } : 0
          expected.append(unit)
          gradient.append(zip(unit, d).map { ($1 - $0 * along) / norm })
        }
        expectClose(y.array, flat(expected), relative: 1e-6, absolute: 1e-6, "\(set) \(width)")
        expectClose(dx.array, flat(gradient), relative: 1e-5, absolute: 5e-6, "\(set) gradient \(width)")
      }
    }
  }
}
