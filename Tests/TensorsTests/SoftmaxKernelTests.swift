import TestKit
import XCTest

@testable import Tensors

final class SoftmaxKernelTests: XCTestCase {
  private func softmax(_ row: [Double], _ scale: Double) -> (p: [Double], logSum: Double) {
    let top = row.map { $0 * scale }.max() ?? 0
    let e = row.map { exp($0 * scale - top) }
    let sum = e.reduce(0, +)
    return (e.map { $0 / sum }, top + log(sum))
  }

  func testSoftmaxTwiceAndBackward() {
    onEverySet { set in
      for width in oddWidths {
        let stride = width + 5
        let s = tensor([4, stride], seed: 60, scale: 20)
        let again = s.copy()
        let logSums = Tensor(uninitialized: [4])
        let input = rows(s.array, stride).map { Array($0.prefix(width)) }
        Kernels.softmax(s.pointer, stride: stride, scale: 0.3, logSums: logSums.pointer, rows: 4, width: width)
        let expected = input.map { softmax($0, 0.3) }
        let p = rows(s.array, stride).map { Array($0.prefix(width)) }
        expectClose(flat(p), flat(expected.map(\.p)), relative: 2e-6, absolute: 1e-7, "\(set) p \(width)")
        expectClose(
          logSums.array, expected.map { Float($0.logSum) }, relative: 1e-6, absolute: 1e-6, "\(set) lse \(width)")
        Kernels.softmaxAgain(again.pointer, stride: stride, scale: 0.3, logSums: logSums.pointer, rows: 4, width: width)
        let repeated = rows(again.array, stride).map { Array($0.prefix(width)) }
        expectClose(flat(repeated), flat(p), relative: 3e-6, absolute: 1e-7, "\(set) again \(width)")

        let dp = tensor([4, stride], seed: 61)
        let incoming = rows(dp.array, stride).map { Array($0.prefix(width)) }
        Kernels.softmaxBackward(s.pointer, overwriting: dp.pointer, stride: stride, scale: 0.3, rows: 4, width: width)
        let gradient = zip(p, incoming).map { p, d -> [Double] in
          let mean = zip(p, d).reduce(0) { $0 + $1.0 * $1.1 }
          return zip(p, d).map { 0.3 * $0 * ($1 - mean) }
        }
        expectClose(
          flat(rows(dp.array, stride).map { Array($0.prefix(width)) }), flat(gradient), relative: 1e-5,
          absolute: 1e-7, "\(set) backward \(width)")
        XCTAssertEqual(dp.array[width], tensor([4, stride], seed: 61).array[width], "\(set) wrote past the row")
        XCTAssertEqual(
          s.array[width], tensor([4, stride], seed: 60, scale: 20).array[width], "\(set) wrote past the row")
      }
    }
  }

  /// One softmax a column: rows are keys, columns queries.
  func testSoftmaxOverColumns() {
    onEverySet { set in
      for width in oddWidths {
        for count in [1, 2, 7] {
          let stride = (width + 15) / 16 * 16
          let s = tensor([count, stride], seed: 60, scale: 20)
          let columns = (0..<width).map { j in (0..<count).map { Double(s.array[$0 * stride + j]) } }
          let maxima = Tensor(
            (0..<stride).map { j in (0..<count).map { s.array[$0 * stride + j] }.max() ?? 0 }, [stride])
          let (inverses, logSums) = (Tensor(uninitialized: [stride]), Tensor(repeating: 9, [width + 1]))
          Kernels.softmaxColumns(
            s.pointer, stride: stride, scale: 0.3, maxima: maxima.pointer, inverses: inverses.pointer,
            logSums: logSums.pointer, rows: count, width: width)
          let expected = columns.map { softmax($0, 0.3) }
          func seen(_ x: Tensor, times factors: Tensor? = nil) -> [Float] {
            (0..<width).flatMap { j in (0..<count).map { x.array[$0 * stride + j] * (factors?.array[j] ?? 1) } }
          }
          let label = "\(set) \(count) x \(width)"
          expectClose(seen(s, times: inverses), flat(expected.map(\.p)), relative: 2e-6, absolute: 1e-7, label)
          expectClose(
            logSums.array, expected.map { Float($0.logSum) } + [9], relative: 1e-6, absolute: 1e-6, label)

          let (dp, means) = (tensor([count, stride], seed: 61), tensor([stride], seed: 62))
          let gradient = (0..<width).map { j in
            (0..<count).map { i in
              0.3 * Double(s.array[i * stride + j]) * Double(dp.array[i * stride + j] - means.array[j])
            }
          }
          Kernels.softmaxColumnsBackward(
            s.pointer, overwriting: dp.pointer, stride: stride, scale: 0.3, means: means.pointer, rows: count,
            width: width)
          expectClose(seen(dp), flat(gradient), relative: 1e-5, absolute: 1e-7, "\(label) backward")
        }
      }
    }
  }

  func testExponentialIsAccurate() {
    let x = stride(from: Float(-86.9), to: 0.5, by: 0.0017).map { $0 } + [0, -87.5, -1000, -.infinity]
    let expected = x.map { $0 < -87 ? 0 : Float(exp(Double($0))) }
    onEverySet { set in
      let y = Tensor(x, [1, x.count])
      Kernels.softmaxAgain(y.pointer, stride: x.count, scale: 1, logSums: [0], rows: 1, width: x.count)
      expectClose(y.array, expected, relative: 2e-7, absolute: 0, "\(set)")
    }
  }

  func testCrossEntropy() {
    onEverySet { set in
      for width in oddWidths {
        let logits = tensor([70, width], seed: 62, scale: 6)
        let soft = Tensor(values(70 * width, seed: 63).map { abs($0) }, [70, width])
        let labels = (0..<70).map { Int32($0 % width) }
        check(set, logits, .soft(soft), rows(soft.array, width))
        check(
          set, logits, .labels(labels), labels.map { label in (0..<width).map { $0 == Int(label) ? 1 : 0 } })
      }
    }
  }

  private func check(
    _ set: InstructionSet, _ logits: Tensor, _ targets: CrossEntropyTargets, _ dense: [[Double]]
  ) {
    let width = logits.shape.lastAxis
    let logSums = Tensor(uninitialized: [70])
    let loss = Kernels.crossEntropy(logits, targets, logSums: logSums)
    let gradient = Tensor(uninitialized: logits.shape)
    Kernels.crossEntropyBackward(logits, targets, logSums: logSums, scale: 0.5, into: gradient)
    var expected = 0.0
    var expectedGradient: [[Double]] = []
    for (row, t) in zip(rows(logits.array, width), dense) {
      let (p, logSum) = softmax(row, 1)
      let weight = t.reduce(0, +)
      expected += zip(row, t).reduce(0) { $0 + $1.1 * (logSum - $1.0) }
      expectedGradient.append(zip(p, t).map { 0.5 * ($0 * weight - $1) })
    }
    XCTAssertEqual(loss, expected, accuracy: 1e-5 * max(1, abs(expected)), "\(set) loss \(width)")
    expectClose(
      gradient.array, flat(expectedGradient), relative: 1e-5, absolute: 3e-6 * Float(width).double,
      "\(set) gradient \(width)")
  }

  func testSquaredError() {
    onEverySet { set in
      for width in oddWidths {
        let (a, b) = (tensor([70, width], seed: 64), tensor([70, width], seed: 65))
        let weights = (0..<70).map { Float($0 % 3) }
        a.pointer[0] = .nan  // a row of weight 0 is not read
        let rowWeights = Tensor(weights, [70])
        var expected = 0.0
        var gradient: [[Double]] = []
        for (i, (x, y)) in zip(rows(a.array, width), rows(b.array, width)).enumerated() {
          let w = Double(weights[i])
          gradient.append(zip(x, y).map { w == 0 ? 0 : 2 * 0.1 * w * ($0 - $1) })
          if w != 0 { expected += w * zip(x, y).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) } }
        }
        let loss = Kernels.squaredError(a, b, rowWeights: rowWeights)
        XCTAssertEqual(loss, expected, accuracy: 1e-6 * expected, "\(set) loss \(width)")
        let da = Tensor(uninitialized: a.shape)
        Kernels.squaredErrorBackward(a, b, rowWeights: rowWeights, scale: 0.1, into: da)
        expectClose(da.array, flat(gradient), relative: 1e-6, absolute: 1e-7, "\(set) gradient \(width)")
      }
    }
  }
}

extension Float {
  fileprivate var double: Double { Double(self) }
}
