import Foundation
import XCTest

@testable import Training

/// How many threads `runtime.threads: auto` takes, and when the user is told that cores are wasted.
final class ThreadChoiceTests: XCTestCase {
  private func rank(
    _ cores: Range<Int>, node: Int = 0, siblings: Int = 1, launcher: Int? = nil, slurm: Int? = nil
  ) -> RankCores {
    RankCores(
      node: node, cores: Set(cores), cpus: siblings * cores.count, launcherCores: launcher, slurmCPUs: slurm)
  }

  private func choice(_ ranks: [RankCores], asked: Int? = nil) -> ThreadChoice {
    ThreadChoice(asked: asked, ranks: ranks, hostNames: ranks.map { "n\($0.node)" })
  }

  func testOneProcessTakesAllItsCores() {
    let choice = choice([rank(0..<8)])
    XCTAssertEqual(choice.threads, [8])
    XCTAssertNil(choice.warning)
    XCTAssertEqual(choice.summary, "1 × 8 threads (auto) on 8 cores")
  }

  func testUnboundRanksShareTheirCores() {
    for (cores, ranks, threads) in [(8, 4, 2), (8, 3, 2), (6, 3, 2), (7, 7, 1), (3, 2, 1), (2, 4, 1), (64, 13, 4)] {
      let choice = choice([RankCores](repeating: rank(0..<cores), count: ranks))
      XCTAssertEqual(choice.threads, [Int](repeating: threads, count: ranks), "\(cores) cores, \(ranks) ranks")
      XCTAssertEqual(choice.warning != nil, ranks > cores)
    }
  }

  func testBoundRanksKeepTheirCores() {
    let bound = choice([rank(0..<3), rank(3..<6), rank(0..<4, node: 1), rank(4..<5, node: 1)])
    XCTAssertEqual(bound.threads, [3, 3, 4, 1])
    XCTAssertEqual(bound.summary, "4 × 1 to 4 threads (auto) on 5 to 6 cores a node")
    XCTAssertNil(bound.warning)
    // A mask that another rank shares in part counts in part.
    XCTAssertEqual(choice([rank(0..<4), rank(2..<6)]).threads, [3, 3])
  }

  func testSlurmsPromiseBoundsTheShareOfAWholeNode() {
    XCTAssertEqual(choice([RankCores](repeating: rank(0..<64, slurm: 6), count: 2)).threads, [6, 6])
    // Slurm counts hyper-threads.
    XCTAssertEqual(choice([rank(0..<64, siblings: 2, slurm: 6)]).threads, [3])
    XCTAssertEqual(choice([rank(0..<4, slurm: 6)]).threads, [4])
  }

  func testTheDefaultBindingOfTwoRanksIsFineWithOneThreadOnly() {
    let bound = [rank(0..<1, launcher: 2), rank(1..<2, launcher: 2)]
    XCTAssertEqual(choice(bound).threads, [1, 1])
    XCTAssertNil(choice(bound).warning)
    XCTAssertEqual(
      choice(bound, asked: 2).warning, "n0: 4 threads of 2 ranks share 2 cores: use fewer ranks or threads")
  }

  func testCoresThatStayIdleOrAreOverfullAreNamed() {
    XCTAssertEqual(
      choice([rank(0..<1, launcher: 8)]).warning,
      "n0: the ranks are bound to 1 of 8 cores, the others stay idle: start with mpirun "
        + "--map-by slot:PE=<cores of a rank> --bind-to core, or --bind-to none")
    XCTAssertEqual(
      choice([rank(0..<1, launcher: 8), rank(1..<2, launcher: 8)], asked: 4).warning,
      "n0: 4 threads of a rank share 1 core, to which it is bound: start with mpirun "
        + "--map-by slot:PE=4 --bind-to core, or --bind-to none")
    XCTAssertEqual(
      choice([rank(0..<4, launcher: 8), rank(0..<4, launcher: 8)], asked: 3).warning,
      "n0: 6 threads of 2 ranks share 4 cores, to which they are bound: start with mpirun "
        + "--map-by slot:PE=3 --bind-to core, or --bind-to none")
    XCTAssertEqual(
      choice([rank(0..<1), rank(0..<1, node: 1)], asked: 3).warning,
      "n0: 3 threads of 1 ranks share 1 core: use fewer ranks or threads (and 1 more nodes)")
    // Fewer threads than cores are a user's right.
    XCTAssertNil(choice([rank(0..<8, launcher: 8)], asked: 2).warning)
  }

  func testListsOfTheKernel() {
    XCTAssertEqual(RankCores.numbers(inList: "\t0-3,8,10-11\n"), [0, 1, 2, 3, 8, 10, 11])
    XCTAssertEqual(RankCores.numbers(inList: "5"), [5])
    XCTAssertEqual(RankCores.numbers(inList: ""), [])
  }

  func testThisProcessHasCoresAndTellsOthers() throws {
    let own = RankCores.ofThisProcess(node: 3)
    // `ProcessInfo.activeProcessorCount` does not heed the affinity mask; nproc does.
    let nproc = Process()
    let answer = Pipe()
    nproc.executableURL = URL(fileURLWithPath: "/usr/bin/nproc")
    nproc.environment = [:]
    nproc.standardOutput = answer
    try nproc.run()
    nproc.waitUntilExit()
    let text = String(decoding: answer.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    XCTAssertEqual("\(own.cpus)\n", text)
    XCTAssertTrue((1...own.cpus).contains(own.cores.count))
    XCTAssertEqual(RankCores(encoded: own.encoded), own)
    let other = rank(2..<5, node: 1, launcher: 7, slurm: 6)
    XCTAssertEqual(RankCores(encoded: other.encoded), other)
  }
}
