import Autodiff
import Basics
import Foundation
import TestKit
import Tensors
import XCTest

/// The NNCLR loss on one rank.
final class ContrastTests: XCTestCase {
  override func tearDown() { ThreadTeam.configure(threads: 1) }

  private func unitRows(_ rows: Int, _ width: Int, seed: UInt64) -> Tensor {
    l2Normalize(Variable(constant: tensor([rows, width], seed: seed))).value
  }

  private func loss(
    _ predictions: (Tensor, Tensor), _ neighbours: (Tensor, Tensor), temperature: Float = 0.15
  ) -> Variable {
    nnclrLoss(
      own: (Variable(constant: predictions.0), Variable(constant: predictions.1)), first: 0, predictions: predictions,
      neighbours: neighbours, temperature: temperature, gradientScale: 1)
  }

  /// Spec mae-ct 3.3 row by row, in double.
  private func naive(_ predictions: (Tensor, Tensor), _ neighbours: (Tensor, Tensor), _ temperature: Double) -> Double {
    func direction(_ n: Tensor, _ p: Tensor) -> Double {
      let (batch, width) = (n.shape[0], n.shape[1])
      let (n, p) = (n.array, p.array)
      return (0..<batch).reduce(0.0) { sum, i in
        let row = (0..<batch).map { j in
          (0..<width).reduce(0.0) { $0 + Double(n[i * width + $1]) * Double(p[j * width + $1]) } / temperature
        }
        return sum - row[i] + log(row.reduce(0) { $0 + exp($1) })
      } / Double(batch)
    }
    return 0.5 * (direction(neighbours.0, predictions.1) + direction(neighbours.1, predictions.0))
  }

  func testAgainstTheSpecRowByRow() {
    for (batch, width) in [(1, 3), (7, 5), (300, 9)] {
      let p = (unitRows(batch, width, seed: 1), unitRows(batch, width, seed: 2))
      let n = (unitRows(batch, width, seed: 3), unitRows(batch, width, seed: 4))
      for temperature in [0.15, 0.35, 0.01] {
        let expected = naive(p, n, temperature)
        let found = Double(loss(p, n, temperature: Float(temperature)).value.item)
        XCTAssertEqual(found, expected, accuracy: 2e-6 * expected + 1e-6, "\(batch) \(width) \(temperature)")
      }
    }
  }

  func testInvariant05EqualPredictionsGiveTheLogarithmOfTheBatch() {
    for batch in [1, 2, 12, 64, 700] {
      let row = unitRows(1, 8, seed: 1)
      let same = Tensor(Array(repeating: row.array, count: batch).flatMap { $0 }, [batch, 8])
      let found = loss((same, same), (unitRows(batch, 8, seed: 2), unitRows(batch, 8, seed: 3))).value.item
      XCTAssertEqual(found, Float(log(Double(batch))), accuracy: 1e-6)
    }
  }

  func testInvariant06OrthonormalNeighboursOfThemselves() {
    let identity = Tensor((0..<256 * 256).map { $0 % 257 == 0 ? 1 : 0 }, [256, 256])
    let found = Double(loss((identity, identity), (identity, identity)).value.item)
    XCTAssertEqual(found, log(1 + 255 * exp(-1 / 0.15)), accuracy: 1e-6)
    XCTAssertEqual(found, 0.28105, accuracy: 5e-6)
  }

  func testInvariant06SwappedViewsHaveTheSameLoss() {
    let p = (unitRows(64, 256, seed: 1), unitRows(64, 256, seed: 2))
    let n = (unitRows(64, 256, seed: 3), unitRows(64, 256, seed: 4))
    let found = loss(p, n).value.item
    XCTAssertEqual(loss((p.1, p.0), (n.1, n.0)).value.item, found)
    XCTAssertNotEqual(loss((p.1, p.0), n).value.item, found, "views that do not belong together differ")
  }

  func testGradientsAgainstCentralDifferences() {
    let n = (unitRows(7, 5, seed: 3), unitRows(7, 5, seed: 4))
    // Through the normalisation: what is differentiated stays what the loss is made for.
    let check = gradientCheck(inputs: [tensor([7, 5], seed: 1), tensor([7, 5], seed: 2)], step: 3e-3) { raw in
      let p = raw.map(l2Normalize)
      return nnclrLoss(
        own: (p[0], p[1]), first: 0, predictions: (p[0].value, p[1].value), neighbours: n, temperature: 0.5,
        gradientScale: 1)
    }
    XCTAssertLessThan(check.worstError, 2e-3, check.worst)
  }

  /// A block of rows gets its part of the gradient of all, times the scale, at any place in the batch.
  func testBlocksHaveThePartsOfTheWholeGradient() throws {
    let (batch, width) = (300, 6)
    let p = (unitRows(batch, width, seed: 1), unitRows(batch, width, seed: 2))
    let n = (unitRows(batch, width, seed: 3), unitRows(batch, width, seed: 4))
    func gradients(_ rows: Range<Int>, scale: Float) throws -> (loss: Float, [[Float]]) {
      let own = (Variable.leaf(p.0.rows(rows)), Variable.leaf(p.1.rows(rows)))
      let loss = nnclrLoss(
        own: (own.0.0, own.1.0), first: rows.lowerBound, predictions: p, neighbours: n, temperature: 0.15,
        gradientScale: scale)
      loss.backward(seed: 0.5)
      return (loss.value.item, [try XCTUnwrap(own.0.gradient()).array, try XCTUnwrap(own.1.gradient()).array])
    }
    let whole = try gradients(0..<batch, scale: 2)
    for rows in [0..<1, 17..<40, 250..<300] {
      let part = try gradients(rows, scale: 4)
      XCTAssertEqual(part.loss, whole.loss, "the loss is that of all rows, whoever asks")
      for view in 0..<2 {
        let expected = whole.1[view][rows.lowerBound * width..<rows.upperBound * width].map { 2 * $0 }
        XCTAssertGreaterThan(expected.map(abs).max() ?? 0, 1e-4)
        expectClose(part.1[view], expected, relative: 1e-5, absolute: 1e-8)
      }
    }
  }

  func testThreadsDoNotChangeABit() throws {
    let p = (unitRows(130, 32, seed: 1), unitRows(130, 32, seed: 2))
    let n = (unitRows(130, 32, seed: 3), unitRows(130, 32, seed: 4))
    func run(_ threads: Int) throws -> [[Float]] {
      ThreadTeam.configure(threads: threads)
      let own = (Variable.leaf(p.0), Variable.leaf(p.1))
      let loss = nnclrLoss(
        own: (own.0.0, own.1.0), first: 0, predictions: p, neighbours: n, temperature: 0.15, gradientScale: 1)
      loss.backward()
      return [[loss.value.item], try XCTUnwrap(own.0.gradient()).array, try XCTUnwrap(own.1.gradient()).array]
    }
    let one = try run(1)
    XCTAssertEqual(try run(2), one)
    XCTAssertEqual(try run(3), one)
  }

  func testConstantsAreNotRecorded() {
    let p = (unitRows(7, 5, seed: 1), unitRows(7, 5, seed: 2))
    XCTAssertFalse(loss(p, p).needsGradient)
  }
}
