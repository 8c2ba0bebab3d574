import Basics
import Foundation
import TestKit
import XCTest

/// Signals, kills and full disks: nothing is lost and the exit code says what to do.
final class InterruptionTests: XCTestCase {
  private static let endless = 1_000_000

  func testSignalsSaveAtTheStepBoundaryAndExit75() throws {
    for (number, ranks) in [(SIGUSR1, 2), (SIGTERM, 0), (SIGINT, 0)] {
      let run = TinyRun()
      let started = ProgramRun.start(run.arguments(steps: InterruptionTests.endless), ranks: ranks)
      started.waitForErrors(containing: "[5/")
      kill(started.process.processIdentifier, number)
      let result = started.wait()
      XCTAssertEqual(result.code, 75, "signal \(number): \(result.errors)")
      XCTAssert(result.errors.contains("--resume auto"), result.errors)
      let steps = try run.losses().count
      XCTAssert(FileManager.default.fileExists(atPath: run.checkpoint(steps)), "step \(steps) is not saved")
      let next = run.train(steps: steps + 1, ranks: ranks, ["--resume", "auto"])
      XCTAssertEqual(next.code, 0, next.errors)
      XCTAssert(next.errors.contains("at step \(steps)"), next.errors)
    }
  }

  func testKillingARankEndsTheJobAndTheLastCheckpointResumes() throws {
    let run = TinyRun()
    let arguments = run.arguments(steps: InterruptionTests.endless, ["checkpoint.every=5 steps"])
    let started = ProgramRun.start(arguments, ranks: 2)
    started.waitForErrors(containing: "[12/")
    let ranks = started.ranks
    kill(try XCTUnwrap(ranks.last), SIGKILL)
    let result = started.wait()
    XCTAssertNotEqual(result.code, 0)
    // Neither the window nor the gradients have a name that outlives the job.
    let shared = try FileManager.default.contentsOfDirectory(atPath: "/dev/shm")
    XCTAssertEqual(shared.filter { name in ranks.contains { name.hasPrefix("sslmpi-\($0)-") } }, [])
    let check = ProgramRun.sslmpi(["inspect", run.directory + "/checkpoints/last.h5", "--verify"])
    XCTAssertEqual(check.code, 0, check.errors)
    let next = run.train(steps: 60, ranks: 2, ["--resume", "auto", "train.stop_after=1"])
    XCTAssertEqual(next.code, 75, next.errors)
  }

  /// The other ranks wait in shared memory, where no library looks after them.
  func testARankThatFreezesEndsTheJobWithCode5() throws {
    let run = TinyRun()
    let often = ["runtime.comm.allreduce=window", "runtime.hang_timeout=5 s"]
    let started = ProgramRun.start(run.arguments(steps: InterruptionTests.endless, often), ranks: 2)
    started.waitForErrors(containing: "[12/")
    let rank = try XCTUnwrap(started.ranks.last)
    kill(rank, SIGSTOP)
    let result = started.wait()
    XCTAssertEqual(result.code, ExitCode.rankLost.rawValue, result.errors)
    XCTAssert(result.errors.contains("has not ended after 5 s; it waits for rank 1"), result.errors)
  }

  /// A limit on the size of files stands for a full disk: the same error, and no disk to fill. It is above what MPI
  /// needs for itself and below a checkpoint of this model (19 MB).
  func testADiskThatFillsUpLeavesTheRunAliveAndTheOldCheckpointWhole() throws {
    let run = TinyRun()
    let wide = ["model.width=256"]
    XCTAssertEqual(run.train(steps: 4, wide + ["train.stop_after=2"]).code, 75)
    let often = wide + ["--resume", "auto", "checkpoint.every=1 steps"]
    let limited = ["/bin/bash", "-c", "ulimit -f 10240 && exec \"$0\" \"$@\"", ProgramRun.program]
    let result = ProgramRun.start(run.arguments(steps: 4, often), launcher: limited).wait()
    XCTAssertEqual(result.code, ExitCode.ioError.rawValue, result.errors)
    XCTAssert(result.errors.contains("the checkpoint at step 3 was not written"), result.errors)
    XCTAssert(result.errors.contains("hint:"), result.errors)
    let left = try FileManager.default.contentsOfDirectory(atPath: run.directory + "/checkpoints/mae")
    XCTAssertEqual(left, ["step-00000002.h5"])
    XCTAssertEqual(run.train(steps: 4, wide + ["--resume", "auto"]).code, 0)
  }

  func testATimeLimitStopsWithAValidCheckpoint() throws {
    let run = TinyRun()
    let result = run.train(steps: InterruptionTests.endless, ["--time-limit", "0:00:03"])
    XCTAssertEqual(result.code, 75, result.errors)
    XCTAssert(result.errors.contains("the time limit is near"), result.errors)
  }
}
