import Basics
import Tensors
import TestKit
import XCTest

@testable import Evaluation

final class MiniBatchTests: XCTestCase {
  private let golden = Golden.load("cluster")

  private func options(_ clusters: Int, reassignment: Double) -> KMeans.Options {
    var options = KMeans.Options(clusters: clusters, algorithm: .miniBatch)
    options.reassignment = reassignment
    return options
  }

  func testCentroidsFollowGivenBatchesAsInScikitLearn() {
    let scale = Float(golden.number("scale"))
    let points = KMeansPoints(Tensor(golden.floats("batches.points").map { $0 / scale }, [160, 6]))
    var state = MiniBatch(
      KMeansCentroids(points.values(of: Array(0..<5)), width: 6), options(5, reassignment: 0), points: 160)
    var stream = RandomStream(seed: 0, purpose: .probe)
    let order = golden.ints("batches.order").map(Int32.init)
    let batch = Tensor(uninitialized: [32, 6])
    for step in 0..<8 {
      points.copy(Array(order[step * 32..<(step + 1) * 32]), into: batch)
      _ = state.follow(batch, &stream)
    }
    XCTAssertEqual(state.counts.reduce(0, +), 8 * 32)
    for (value, expected) in zip(state.centroids.values, golden.doubles("batches.centroids")) {
      XCTAssertEqual(value, expected, accuracy: 1e-9)
    }
  }

  func testARunEndsWhereScikitLearnSeesNoMoreGain() {
    var progress = SmoothedInertia(points: Int(golden.number("stopping.points")), patience: 10)
    let size = Int(golden.number("stopping.batch"))
    let end = golden.doubles("stopping.inertias").firstIndex { progress.see($0, of: size) }
    XCTAssertEqual(end, Int(golden.number("stopping.after")))
  }

  func testCentroidsThatFewPointsComeToMoveOntoPointsOfTheBatch() {
    // All points lie at 0 ... 9; two of the centroids are out of reach.
    let batch = Tensor((0..<10).map(Float.init), [10, 1])
    let centroids = KMeansCentroids([4.5, 1e3, -1e3], width: 1)
    var state = MiniBatch(centroids, options(3, reassignment: 0.01), points: 10)
    var stream = RandomStream(seed: 0, purpose: .probe)
    _ = state.follow(batch, &stream)
    XCTAssertEqual(state.counts, [10, 10, 10], "as many as the rarest of those that stay")
    XCTAssertEqual(centroids.values[0], 4.5)
    let moved = centroids.values.dropFirst()
    XCTAssertTrue(moved.allSatisfy { (0...9).contains($0) && $0 == $0.rounded() }, "\(moved)")
    XCTAssertEqual(Set(moved).count, 2)
  }

  func testAtMostHalfOfTheBatchTakesCentroids() {
    let batch = Tensor([0, 1, 2, 3], [4, 1])
    let far = [1.0] + (1...5).map { 1000.0 * Double($0) }
    let centroids = KMeansCentroids(far, width: 1)
    var state = MiniBatch(centroids, options(6, reassignment: 0.01), points: 4)
    var stream = RandomStream(seed: 0, purpose: .probe)
    _ = state.follow(batch, &stream)
    XCTAssertEqual(centroids.values.count { $0 >= 1000 }, 3)
    XCTAssertEqual(state.counts, [4, 0, 0, 0, 0, 0], "those that moved count as the rarest of the others: none")
  }
}
