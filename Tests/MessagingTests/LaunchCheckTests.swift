import Basics
import XCTest

@testable import Messaging

/// The launcher's promise against what MPI sees.
final class LaunchCheckTests: XCTestCase {
  private func fault(_ size: Int, _ environment: [String: String]) -> Failure? {
    LaunchCheck.fault(size: size) { environment[$0] }
  }

  func testNoLauncher() {
    XCTAssertNil(fault(1, [:]))
  }

  func testMatchingLaunchers() {
    XCTAssertNil(fault(4, ["OMPI_COMM_WORLD_SIZE": "4"]))
    XCTAssertNil(fault(4, ["PMI_SIZE": "4"]))
    XCTAssertNil(fault(4, ["SLURM_STEP_NUM_TASKS": "4", "SLURM_NTASKS": "4", "SLURM_STEP_ID": "0"]))
  }

  func testMpirunInsideAnAllocationCounts() {
    XCTAssertNil(fault(2, ["OMPI_COMM_WORLD_SIZE": "2", "SLURM_STEP_NUM_TASKS": "1", "SLURM_NTASKS": "8"]))
  }

  func testSingleProcessInABatchScript() {
    XCTAssertNil(fault(1, ["SLURM_NTASKS": "8"]))
  }

  func testSrunWithTheWrongPlugin() {
    let failure = fault(1, ["SLURM_NTASKS": "8", "SLURM_STEP_ID": "0"])
    XCTAssertEqual(failure?.code, .unavailable)
    XCTAssertEqual(failure?.what, "the launcher started 8 processes, but MPI sees 1")
    XCTAssertTrue(failure?.hint?.contains("srun --mpi=pmix") ?? false)
  }

  func testForeignMpirun() {
    XCTAssertTrue(fault(1, ["PMI_SIZE": "4"])?.hint?.contains("MPICH") ?? false)
    XCTAssertEqual(fault(1, ["OMPI_COMM_WORLD_SIZE": "4"])?.place, "OMPI_COMM_WORLD_SIZE=4")
  }
}
