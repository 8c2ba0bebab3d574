import Basics
import Layers
import Messaging
import Tensors

/// The gradients of an arena in memory that the ranks of a node share, so that their sums need no copies.
public struct SharedGradients: Sendable {
  /// Where the gradients lie; nil where they stay in memory of their own.
  let memory: NodeMemory?
  /// Why they stay there though sums travel through shared memory; nil when nothing stands in the way.
  public let obstacle: String?

  /// Moves the gradients of `arena` where sums of floats travel through the window. Call it before the first backward
  /// pass and before `GradientBuckets` are made. From then on the sums stand in `arena.reducedGradients`.
  ///
  /// Without room in /dev/shm the gradients stay where they are and every sum copies them; the sums are the same.
  /// - Parameters:
  ///   - bucketBytes: as for `GradientBuckets`: each bucket is dealt evenly to the ranks of a node.
  /// - Throws: what the MPI library reported.
  /// - Collective: all ranks, with arenas of one layout.
  public init(
    of arena: ParameterArena, _ communicator: Communicator, bucketBytes: Int = GradientBuckets.defaultBucketBytes
  ) throws(Failure) {
    do throws(Failure) {
      let plan = BucketPlan(of: arena, bucketBytes: bucketBytes)
      memory = try communicator.nodeMemory(parts: plan.buckets.map(\.elements))
      obstacle = nil
    } catch {
      guard error.code == .unavailable else { throw error }
      memory = nil
      obstacle = error.what
    }
    guard let memory else { return }
    arena.placeGradients(
      in: Storage(memory.floats, count: memory.count, of: memory),
      reduced: Storage(UnsafeMutablePointer(mutating: memory.sums), count: memory.count, of: memory))
  }
}
