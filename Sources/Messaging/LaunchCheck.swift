import Basics

/// Compares what the launcher promised with what MPI found.
///
/// A binary and a launcher of different MPI families do not fail: every process becomes a world of its own, and N
/// copies of the same run write over each other. That is found here, before any file is touched.
enum LaunchCheck {
  /// The variables that a launcher sets for the processes it starts, the most telling one first.
  static let variables = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"]

  /// What is wrong with a world of `size` ranks under these variables; nil when nothing is.
  ///
  /// The first variable that is set decides: under `mpirun` inside a Slurm allocation both kinds are present, and
  /// Slurm's then describe the allocation. SLURM_NTASKS alone also stands in a batch script, where a single process
  /// is right, so it counts only inside a step.
  static func fault(size: Int, environment: (String) -> String?) -> Failure? {
    for name in variables {
      guard let promised = environment(name).flatMap(Int.init) else { continue }
      if name == "SLURM_NTASKS" && environment("SLURM_STEP_ID") == nil { continue }
      if promised == size { return nil }
      return Failure(
        .unavailable, "the launcher started \(promised) processes, but MPI sees \(size)", at: "\(name)=\(promised)",
        hint: hint(for: name))
    }
    return nil
  }

  private static func hint(for name: String) -> String {
    switch name {
    case "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS":
      "start with `srun --mpi=pmix` (`srun --mpi=list` shows what this Slurm has), or with mpirun"
    case "PMI_SIZE":
      "the launcher belongs to another MPI (MPICH, Intel): use the mpirun of the Open MPI this program is built "
        + "with, or `srun --mpi=pmix`"
    default:
      "the mpirun in PATH belongs to another Open MPI than the library this program is built with: compare "
        + "`mpirun --version` with `ldd $(which sslmpi)`; under Slurm use `srun --mpi=pmix`"
    }
  }
}
