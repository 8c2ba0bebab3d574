import XCTest

@testable import Checkpoints

final class ChunkTableTests: XCTestCase {
  func testChunksCoverEveryByteOnce() {
    let sizes = [0, 1, Chunk.limit - 1, Chunk.limit, Chunk.limit + 1, 3 * Chunk.limit + 7]
    let chunks = ChunkTable.chunks(of: sizes)
    for (dataset, size) in sizes.enumerated() {
      let own = chunks.filter { $0.dataset == dataset }
      XCTAssertEqual(own.map(\.index), Array(0..<own.count))
      XCTAssertEqual(own.reduce(0) { $0 + $1.bytes }, size)
      XCTAssertEqual(own.map(\.start), own.indices.map { $0 * Chunk.limit })
      XCTAssertTrue(own.allSatisfy { $0.bytes > 0 && $0.bytes <= Chunk.limit })
    }
  }

  func testSharesAreContiguousDisjointAndBalanced() {
    let lengths = [5, 1, 1, 9, 4, 4, 4, 4, 2, 30, 1, 7, 7]
    for ranks in 1...20 {
      let shares = (0..<ranks).map { ChunkTable.share(lengths: lengths, rank: $0, of: ranks) }
      XCTAssertEqual(shares.flatMap { Array($0) }, Array(lengths.indices), "\(ranks) ranks")
      let fair = Double(lengths.reduce(0, +)) / Double(ranks)
      for share in shares { XCTAssertLessThan(Double(lengths[share].reduce(0, +)), fair + 30, "\(ranks) ranks") }
    }
    XCTAssertEqual(ChunkTable.share(lengths: [], rank: 1, of: 3), 0..<0)
  }

  func testTurnsBringEveryChunkOnceAndStayBelowTheLimit() {
    let chunks = ChunkTable.chunks(of: [20 * Chunk.limit + 3, 0, 5, 7 * Chunk.limit])
    for ranks in 1...5 {
      let turns = ChunkTable.turns(chunks, datasets: 4, ranks: ranks, chunksPerCall: 3)
      XCTAssertEqual(turns.count, 4)
      XCTAssertEqual(turns[1].count, 0)
      for (dataset, size) in [(0, 20 * Chunk.limit + 3), (2, 5), (3, 7 * Chunk.limit)] {
        let ranges = turns[dataset].flatMap { $0.values }.sorted { $0.lowerBound < $1.lowerBound }
        XCTAssertEqual(ranges.first?.lowerBound, 0)
        XCTAssertEqual(ranges.last?.upperBound, size)
        for (left, right) in zip(ranges, ranges.dropFirst()) { XCTAssertEqual(left.upperBound, right.lowerBound) }
        XCTAssertTrue(ranges.allSatisfy { $0.count <= 3 * Chunk.limit })
      }
    }
  }

  func testHashIsXXH3() {
    // The published value of XXH3-64 for no input, seed 0.
    XCTAssertEqual(ChunkTable.hash([]), 0x2D06_8005_38D3_94C2)
    XCTAssertNotEqual(ChunkTable.hash([1, 2]), ChunkTable.hash([2, 1]))
  }

  func testSealIsReadBackAndEveryByteOfItCounts() throws {
    let seal = Seal(length: 123_456, table: 5000, rows: 7, tableHash: .max, metadataHash: 0)
    let block = seal.encoded
    XCTAssertEqual(block.count, Seal.bytes)
    XCTAssertEqual(Seal(block), seal)
    for place in block.indices {
      var damaged = block
      damaged[place] ^= 1 << UInt8(place % 8)
      XCTAssertNil(Seal(damaged), "byte \(place)")
    }
  }
}
