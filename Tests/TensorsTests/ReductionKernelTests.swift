import Basics
import Dispatch
import Synchronization
import TestKit
import XCTest

@testable import Tensors

final class ReductionKernelTests: XCTestCase {
  override func tearDown() { ThreadTeam.configure(threads: 1) }

  func testSums() {
    onEverySet { set in
      for n in oddWidths + [65_536, 200_003] {
        let x = tensor([n], seed: 20)
        let y = tensor([n], seed: 21)
        let exact = x.array.reduce(0.0) { $0 + Double($1) }
        let squares = x.array.reduce(0.0) { $0 + Double($1) * Double($1) }
        let dot = zip(x.array, y.array).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
        let accuracy = 1e-12 * max(1, Double(n))
        XCTAssertEqual(Kernels.sum(x.pointer, count: n), exact, accuracy: accuracy, "\(set) sum \(n)")
        XCTAssertEqual(Kernels.sumOfSquares(x.pointer, count: n), squares, accuracy: accuracy, "\(set) squares \(n)")
        XCTAssertEqual(Kernels.dot(x.pointer, y.pointer, count: n), dot, accuracy: accuracy, "\(set) dot \(n)")
      }
    }
  }

  func testSumDoesNotDependOnThreads() {
    let x = tensor([300_001], seed: 22)
    let single = Kernels.sumOfSquares(x.pointer, count: x.count)
    for threads in 2...3 {
      ThreadTeam.configure(threads: threads)
      XCTAssertEqual(Kernels.sumOfSquares(x.pointer, count: x.count), single)
    }
  }

  /// As the communication thread does: kernels on another thread while the main thread's team computes.
  func testOtherThreadsMayUseKernels() {
    ThreadTeam.configure(threads: 2)
    let x = tensor([300_001], seed: 25)
    let expected = Kernels.sumOfSquares(x.pointer, count: x.count)
    let others = DispatchGroup()
    let wrong = Mutex(0)
    for _ in 0..<2 {
      others.enter()
      startThread(named: "test") {
        for _ in 0..<50 {
          let copy = x.copy()
          if Kernels.sumOfSquares(copy.pointer, count: copy.count) != expected { wrong.withLock { $0 += 1 } }
        }
        others.leave()
      }
    }
    for _ in 0..<50 { XCTAssertEqual(Kernels.sumOfSquares(x.pointer, count: x.count), expected) }
    others.wait()
    XCTAssertEqual(wrong.withLock { $0 }, 0)
  }

  func testNonFiniteCount() {
    onEverySet { set in
      for n in oddWidths + [100_000] {
        let x = tensor([n], seed: 23)
        XCTAssertEqual(Kernels.nonFiniteCount(x.pointer, count: n), 0, "\(set) \(n)")
        x.pointer[n / 2] = .nan
        x.pointer[n - 1] = -.infinity
        XCTAssertEqual(Kernels.nonFiniteCount(x.pointer, count: n), n == 1 ? 1 : 2, "\(set) \(n)")
      }
    }
  }

  func testColumnSumsHaveTheSameBitsForEveryNumberOfThreads() {
    let x = tensor([999, 40], seed: 26)
    func sums(_ threads: Int) -> [Float] {
      ThreadTeam.configure(threads: threads)
      let total = Tensor(zeros: [40])
      Kernels.addColumnSums(of: x, to: total)
      return total.array
    }
    for threads in 2...5 { XCTAssertEqual(sums(threads), sums(1), "\(threads) threads") }
  }

  func testColumnSums() {
    onEverySet { set in
      for width in oddWidths {
        for threads in 1...3 {
          ThreadTeam.configure(threads: threads)
          let x = tensor([7, width], seed: 24)
          let total = Tensor(repeating: 1, [width])
          Kernels.addColumnSums(of: x, to: total)
          let expected = (0..<width).map { j in
            Float((0..<7).reduce(1.0) { $0 + Double(x.array[$1 * width + j]) })
          }
          expectClose(total.array, expected, relative: 1e-6, absolute: 1e-6, "\(set) \(width) \(threads) threads")
        }
      }
    }
  }
}
