import Basics
import Foundation
import TestKit
import XCTest

@testable import Messaging

/// Ranks of a window (nil: all of the node; less pretends several nodes) and floats of a piece (nil: the usual).
let testedWindows: [(ranks: Int?, piece: Int?)] = [(nil, nil), (nil, 16), (nil, 48), (2, 16), (2, nil), (3, 64)]

/// Runs `body` with a window open, and leaves the world as it was.
func withWindow(
  _ communicator: Communicator, ranks: Int? = nil, piece: Int? = nil, _ body: () throws -> Void
) throws {
  let route = try communicator.chooseAllReduce(.auto, ranksPerWindow: ranks, pieceFloats: piece)
  XCTAssertEqual(route, communicator.size > 1 ? .window : .mpi(reason: "one rank"))
  try body()
  try communicator.chooseAllReduce(.mpi)
}

/// What one rank brings: numbers whose sum depends on the order, and some that are no numbers.
func rankValues(_ count: Int, rank: Int, seed: Int = 0) -> [Float] {
  var values = ExactRandom.floats(count, seed: UInt64(1000 * seed + rank))
  let everywhere: [(Int, Float)] = [(12, 3e38), (13, -0.0), (14, .leastNormalMagnitude)]
  let onSome: [(Int, Float)] = [(9, .infinity), (10, -.infinity), (11, .nan)].filter { rank == $0.0 % 2 }
  for (place, special) in everywhere + onSome where place < count { values[place] = special }
  return values
}

/// The sum of each window's ranks in rank order, and of the windows in their order.
func expectedSum(_ count: Int, ranks: Int, perWindow: Int?, seed: Int = 0) -> [Float] {
  let groups = stride(from: 0, to: ranks, by: perWindow ?? ranks).map { start in
    orderedSum((start..<min(start + (perWindow ?? ranks), ranks)).map { rankValues(count, rank: $0, seed: seed) })
  }
  return orderedSum(groups)
}

func orderedSum(_ terms: [[Float]]) -> [Float] {
  terms.dropFirst().reduce(terms[0]) { sum, term in zip(sum, term).map { $0 + $1 } }
}

/// Bit patterns; of values that are no number only that they are none.
func bits(_ values: [Float]) -> [UInt32] { values.map { $0.isNaN ? UInt32.max : $0.bitPattern } }

func expectSameBits(_ found: [Float], _ expected: [Float], _ what: String) {
  XCTAssertEqual(found.count, expected.count, what)
  let places = zip(bits(found), bits(expected)).enumerated().filter { $1.0 != $1.1 }.map(\.offset)
  guard let first = places.first else { return }
  XCTFail("\(what): \(places.count) values differ, the first at \(first): \(found[first]), not \(expected[first])")
}

/// Runs `body`, during which this process can open no file when `applies`.
func withoutFiles(_ applies: Bool, _ body: () throws -> Void) throws {
  var usual = rlimit()
  getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &usual)
  var none = usual
  if applies { none.rlim_cur = 0 }
  setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &none)
  defer { setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &usual) }
  try body()
}
