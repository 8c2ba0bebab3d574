import Basics
import Messaging
import Parallelism
import XCTest

/// Means and spreads over ranks. Collective: the same on all ranks.
final class RankStatisticsTests: XCTestCase {
  func testMeansOverUnevenBlocks() throws {
    let communicator = try World.start().communicator
    let values = (0..<(3 * communicator.size + communicator.size / 2)).map { Double($0 * $0) }
    let own = values[blockRange(count: values.count, part: communicator.rank, of: communicator.size)]
    let mean = own.reduce(0, +) / Double(own.count)
    let means = try communicator.globalMeans([mean, 2 * mean], weight: own.count)
    let expected = values.reduce(0, +) / Double(values.count)
    XCTAssertEqual(means[0], expected, accuracy: 1e-12 * expected)
    XCTAssertEqual(means[1], 2 * expected, accuracy: 1e-12 * expected)
  }

  func testRankWithoutSamplesAddsNothing() throws {
    let communicator = try World.start().communicator
    let isEmpty = communicator.rank > 0
    XCTAssertEqual(try communicator.globalMeans([isEmpty ? .nan : 4], weight: isEmpty ? 0 : 3), [4])
  }

  func testSpread() throws {
    let communicator = try World.start().communicator
    let last = communicator.size - 1
    let spreads = try communicator.spreads(of: [Double(communicator.rank), 7, -Double(communicator.rank)])
    XCTAssertEqual(
      spreads[0], RankSpread(minimum: 0, mean: Double(last) / 2, maximum: Double(last), maximumRank: last))
    XCTAssertEqual(spreads[1], RankSpread(minimum: 7, mean: 7, maximum: 7, maximumRank: 0))
    XCTAssertEqual(spreads[2].maximumRank, 0)
  }
}
