import Basics
import Features
import Messaging
import Tensors
import TestKit
import XCTest

@testable import Evaluation

final class KMeansTests: XCTestCase {
  private let golden = Golden.load("cluster")

  private func points(_ name: String) -> KMeansPoints {
    let scale = Float(golden.number("scale"))
    return KMeansPoints(
      Tensor(golden.floats("\(name).points").map { $0 / scale }, Shape(golden.shape("\(name).points"))))
  }

  func testLloydIsThatOfScikitLearnFromTheSameCentroids() {
    for name in ["small", "wide", "line", "empty"] {
      let first = golden.doubles("\(name).first").map { $0 / golden.number("scale") }
      var inertias: [Double] = []
      let run = KMeansRun.lloyd(points(name), from: first) { inertias.append($0) }
      XCTAssertEqual(run.clusters.map(Int.init), golden.ints("\(name).clusters"), name)
      XCTAssertEqual(run.inertia, golden.number("\(name).inertia"), accuracy: 1e-9 * run.inertia, name)
      for (value, expected) in zip(run.centroids, golden.doubles("\(name).centroids")) {
        XCTAssertEqual(value, expected, accuracy: 1e-9, name)
      }
      XCTAssertGreaterThan(inertias.count, 2, "a start that has to move")
      for (earlier, later) in zip(inertias, inertias.dropFirst()) { XCTAssertLessThanOrEqual(later, earlier, name) }
    }
  }

  func testEveryPointIsNearestToItsOwnCentroidWhateverTheProducts() throws {
    let points = points("wide")
    let centroids = KMeansCentroids(golden.doubles("wide.centroids"), width: points.width)
    for engine in [ProductEngine.native, .openblas] {
      let before = ProductEngine.plan
      defer { XCTAssertNoThrow(try ProductEngine.use(before)) }
      try ProductEngine.use(engine)
      var clusters = [Int32](repeating: -1, count: points.count)
      var distances = [Double](repeating: 0, count: points.count)
      centroids.nearest(points.rows, clusters: &clusters, distances: &distances)
      for row in 0..<points.count {
        let all = (0..<centroids.count).map { number in
          (0..<points.width).reduce(0.0) { sum, d in
            let difference =
              Double(points.rows.pointer[row * points.width + d]) - centroids.values[number * points.width + d]
            return sum + difference * difference
          }
        }
        XCTAssertEqual(Int(clusters[row]), all.indices.min { all[$0] < all[$1] })
        XCTAssertEqual(distances[row], all.min() ?? 0, accuracy: 1e-12)
      }
    }
  }

  func testEqualDistancesGoToTheLowerNumber() {
    let points = KMeansPoints(Tensor([0, 0, 4, 0], [2, 2]))
    let centroids = KMeansCentroids([1e4, 1, 2, 0, 0, 2, 0, -2], width: 2)
    var clusters: [Int32] = [-1, -1]
    var distances = [0.0, 0.0]
    centroids.nearest(points.rows, clusters: &clusters, distances: &distances)
    XCTAssertEqual(clusters, [1, 1])
    XCTAssertEqual(distances, [4, 4])
  }

  func testAsManyClustersAsPointsLeaveNoInertia() throws {
    let points = points("small")
    let fit = try KMeans.fit(points, KMeans.Options(clusters: points.count))
    XCTAssertEqual(fit.inertia, 0)
    XCTAssertEqual(Set(fit.clusters).count, points.count)
  }

  func testFewerDifferentPointsThanClustersEnd() throws {
    let points = KMeansPoints(Tensor([1, 2, 1, 2, 1, 2, 5, 6, 5, 6], [5, 2]))
    for algorithm in KMeans.Algorithm.allCases {
      let fit = try KMeans.fit(points, KMeans.Options(clusters: 4, algorithm: algorithm))
      XCTAssertEqual(fit.inertia, 0)
      XCTAssertEqual(Set(fit.clusters).count, 2)
    }
  }

  func testDrawsOfKMeansPlusPlusPreferWhatIsFar() {
    // Three heaps far apart and one point between: greedy draws take one of each heap.
    var values: [Float] = []
    for centre in [Float(0), 100, 200] { for step in 0..<20 { values += [centre + Float(step) / 100] } }
    let points = KMeansPoints(Tensor(values, [60, 1]))
    for seed in 0..<30 {
      var stream = RandomStream(seed: UInt64(seed), purpose: .clustering)
      let chosen = KMeansSeeding.choose(3, of: points, &stream)
      XCTAssertEqual(Set(chosen.map { $0 / 20 }), [0, 1, 2])
    }
    var stream = RandomStream(seed: 0, purpose: .clustering)
    XCTAssertEqual(Set(KMeansSeeding.choose(60, of: points, &stream)).count, 60, "no point twice")
  }

  func testTheBestRunWinsAndIsTheSameForEveryNumberOfRanks() throws {
    let communicator = try sharedCommunicator()
    let points = points("wide")
    for algorithm in KMeans.Algorithm.allCases {
      var options = KMeans.Options(clusters: 10, restarts: 7, algorithm: algorithm, seed: 4)
      options.batch = 64
      let alone = try KMeans.fit(points, options)
      XCTAssertEqual(alone.inertias.count, 7)
      XCTAssertGreaterThan(Set(alone.inertias).count, 1, "runs differ")
      XCTAssertEqual(alone.inertia, alone.inertias.min())
      XCTAssertEqual(alone.bestRun, alone.inertias.firstIndex(of: alone.inertia))
      var observed: [Int] = []
      let shared = try KMeans.fit(points, options, communicator: communicator) { run, _ in observed.append(run) }
      XCTAssertEqual(shared.inertias, alone.inertias)
      XCTAssertEqual(shared.clusters, alone.clusters)
      XCTAssertEqual(shared.centroids.array, alone.centroids.array)
      XCTAssertEqual(shared.assignment.count, shared.range.count)
      XCTAssertTrue(observed.allSatisfy { $0 % communicator.size == communicator.rank })
      options.seed = 5
      XCTAssertNotEqual(try KMeans.fit(points, options).inertias, alone.inertias)
    }
  }

  func testThreadsDoNotShow() throws {
    let points = points("wide")
    var options = KMeans.Options(clusters: 10, restarts: 2, algorithm: .miniBatch)
    options.batch = 64
    defer { ThreadTeam.configure(threads: 1) }
    let one = try KMeans.fit(points, options)
    ThreadTeam.configure(threads: 3)
    let three = try KMeans.fit(points, options)
    XCTAssertEqual(three.inertias, one.inertias)
    XCTAssertEqual(three.centroids.array, one.centroids.array)
  }

  func testNearestPointsAreThoseOfASort() throws {
    let points = points("small")
    let fit = try KMeans.fit(points, KMeans.Options(clusters: 4))
    let lists = fit.nearestPoints(of: points, count: 10)
    XCTAssertEqual(lists.count, 4)
    for (cluster, list) in lists.enumerated() {
      let centroid = (0..<3).map { Double(fit.centroids.pointer[cluster * 3 + $0]) }
      let all = (0..<points.count).map { row in
        (0..<3).reduce(0.0) { $0 + pow(Double(points.rows.pointer[row * 3 + $1]) - centroid[$1], 2) }
      }
      XCTAssertEqual(list.map(\.point), Array(all.indices.sorted { (all[$0], $0) < (all[$1], $1) }.prefix(10)))
      XCTAssertEqual(list[0].distance, all.min() ?? -1, accuracy: 1e-12)
    }
    XCTAssertEqual(fit.nearestPoints(of: points, count: 500)[0].count, 90)
  }

  func testMoreClustersThanPointsAreRefused() throws {
    XCTAssertThrowsError(try KMeans.fit(points("small"), KMeans.Options(clusters: 91))) {
      XCTAssertEqual(($0 as? Failure)?.code, .badConfig)
    }
  }
}
