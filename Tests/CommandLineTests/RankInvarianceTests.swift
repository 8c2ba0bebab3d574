import Foundation
import TestKit
import XCTest

/// Invariant 10 of spec mae-ct, and resuming: the number of ranks is not a hyper-parameter.
final class RankInvarianceTests: XCTestCase {
  func testInvariant10TwentyStepsAreTheSameOnOneToFourRanks() throws {
    let reference = TinyRun()
    XCTAssertEqual(reference.train(steps: 20).code, 0)
    let losses = try reference.losses()
    XCTAssertEqual(losses.count, 20)
    XCTAssertLessThan(losses[19], losses[0])
    let weights = try reference.tensors(20)
    for ranks in 2...4 {
      let run = TinyRun()
      let result = run.train(steps: 20, ranks: ranks)
      XCTAssertEqual(result.code, 0, result.errors)
      for (step, (a, b)) in zip(try run.losses(), losses).enumerated() {
        XCTAssertEqual(a, b, accuracy: 1e-5 * b, "loss of step \(step) on \(ranks) ranks")
      }
      let found = try run.tensors(20)
      XCTAssertEqual(found.keys.sorted(), weights.keys.sorted())
      for (name, values) in weights where name.hasPrefix("student/") {
        XCTAssertLessThan(relativeError(found[name] ?? [], values), 1e-4, "\(name) on \(ranks) ranks")
      }
    }
  }

  func testTheSameRunTwiceIsBitIdentical() throws {
    for ranks in [1, 3] {
      let (a, b) = (TinyRun(), TinyRun())
      XCTAssertEqual(a.train(steps: 6, ranks: ranks).code, 0)
      XCTAssertEqual(b.train(steps: 6, ranks: ranks).code, 0)
      XCTAssertEqual(try a.losses(), try b.losses())
      XCTAssertEqual(try a.tensors(6), try b.tensors(6))
    }
  }

  func testInvariant13SixStepsAreThreeAndResumeAndThreeBitForBit() throws {
    for ranks in [1, 2] {
      let whole = TinyRun()
      XCTAssertEqual(whole.train(steps: 6, ranks: ranks).code, 0)
      let halves = TinyRun()
      XCTAssertEqual(halves.train(steps: 6, ranks: ranks, ["train.stop_after=3"]).code, 75)
      let second = halves.train(steps: 6, ranks: ranks, ["--resume", "auto"])
      XCTAssertEqual(second.code, 0, second.errors)
      XCTAssertEqual(try halves.losses(), try whole.losses())
      XCTAssertEqual(try halves.tensors(6), try whole.tensors(6))
    }
  }

  func testSavedOnTwoRanksResumesOnThreeAndOnOne() throws {
    let whole = TinyRun()
    XCTAssertEqual(whole.train(steps: 6, ranks: 2).code, 0)
    let expected = try whole.tensors(6)
    for ranks in [3, 1] {
      let run = TinyRun()
      XCTAssertEqual(run.train(steps: 6, ranks: 2, ["train.stop_after=3"]).code, 75)
      let result = run.train(steps: 6, ranks: ranks, ["--resume", "auto"])
      XCTAssertEqual(result.code, 0, result.errors)
      for (name, values) in try run.tensors(6) {
        XCTAssertLessThan(relativeError(values, expected[name] ?? []), 1e-5, "\(name) resumed on \(ranks)")
      }
    }
  }

  /// spec/evaluation.md E1: training with the monitor on or off gives bitwise equal weights. The same for pictures,
  /// frequent checkpoints and their engine.
  func testWatchingDoesNotChangeTheRun() throws {
    let plain = TinyRun()
    XCTAssertEqual(plain.train(steps: 6, ranks: 2).code, 0)
    let watched = TinyRun()
    let result = watched.train(
      steps: 6, ranks: 2,
      [
        "data.labels=true", "eval.every=2 steps", "eval.health.every=1 steps", "log.images.every=1 steps",
        "checkpoint.every=1 steps", "checkpoint.engine=mpiio",
      ])
    XCTAssertEqual(result.code, 0, result.errors)
    XCTAssert(result.errors.contains("k-NN top-1 of the encoder after step 4"), result.errors)
    XCTAssertEqual(try watched.losses(), try plain.losses())
    XCTAssertEqual(try watched.tensors(6), try plain.tensors(6))
    XCTAssertEqual(try FileManager.default.contentsOfDirectory(atPath: watched.directory + "/viz").count, 6)
  }

  /// Two ranks of a node: through shared memory or by MPI, during backward or after it, the same bits.
  func testTheRouteOfGradientsDoesNotChangeTheResult() throws {
    let reference = TinyRun()
    let first = reference.train(steps: 4, ranks: 2, ["runtime.comm.allreduce=window"])
    XCTAssertEqual(first.code, 0, first.errors)
    XCTAssert(first.errors.contains("through memory shared by the ranks of a node"), first.errors)
    for other in [["allreduce=mpi"], ["allreduce=window", "overlap=false", "bucket_mib=0.01"]] {
      let run = TinyRun()
      let result = run.train(steps: 4, ranks: 2, other.map { "runtime.comm.\($0)" })
      XCTAssertEqual(result.code, 0, result.errors)
      XCTAssertEqual(result.errors.contains("by MPI_Allreduce (as set)"), other == ["allreduce=mpi"], result.errors)
      XCTAssertEqual(try run.losses(), try reference.losses())
      XCTAssertEqual(try run.tensors(4), try reference.tensors(4))
    }
  }

  /// A limit on the size of files stands for a /dev/shm that has room for the window but not for the gradients
  /// (12.6 MB for two ranks): the start of the run says so.
  func testGradientsThatDoNotFitIntoSharedMemoryAreCopied() throws {
    let run = TinyRun()
    let limited = ["-n", "2", "/bin/bash", "-c", "ulimit -f 10240 && exec \"$0\" \"$@\"", ProgramRun.program]
    let launcher = ["/usr/bin/env", "mpirun", "--oversubscribe", "--bind-to", "none"] + limited
    let arguments = run.arguments(steps: 4, ["model.width=256", "--dry-run"])
    let result = ProgramRun.start(arguments, launcher: launcher).wait()
    XCTAssertEqual(result.code, 0, result.errors)
    let line = try XCTUnwrap(result.lines.first { $0.hasPrefix("comm") }, result.output)
    XCTAssert(line.contains("through memory shared by the ranks of a node, copied there and back (rank "), line)
    XCTAssert(line.hasSuffix("cannot be had: File too large)"), line)
    let free = ProgramRun.sslmpi(arguments, ranks: 2)
    let usual = try XCTUnwrap(free.lines.first { $0.hasPrefix("comm") }, free.output)
    XCTAssert(usual.hasSuffix("through memory shared by the ranks of a node"), usual)
  }

  func testRecomputationDoesNotChangeTheRun() throws {
    let plain = TinyRun()
    XCTAssertEqual(plain.train(steps: 4, ranks: 2).code, 0)
    for recompute in ["attention", "block"] {
      let run = TinyRun()
      let result = run.train(steps: 4, ranks: 2, ["train.recompute=\(recompute)"])
      XCTAssertEqual(result.code, 0, result.errors)
      XCTAssertEqual(try run.losses(), try plain.losses(), recompute)
      XCTAssertEqual(try run.tensors(4), try plain.tensors(4), recompute)
    }
  }

  func testMicroBatchesDoNotChangeTheResult() throws {
    let (whole, parts) = (TinyRun(), TinyRun())
    XCTAssertEqual(whole.train(steps: 4).code, 0)
    XCTAssertEqual(parts.train(steps: 4, ["train.micro_batch=3"]).code, 0)
    for (a, b) in zip(try parts.losses(), try whole.losses()) { XCTAssertEqual(a, b, accuracy: 1e-5 * b) }
  }
}
