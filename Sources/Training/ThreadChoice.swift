import Basics

/// How many compute threads each rank takes, and what to tell the user about it.
struct ThreadChoice: Equatable {
  /// The threads of each rank.
  let threads: [Int]
  /// The cores that the ranks of each node may use.
  let cores: [Int]
  /// Whether the program chose.
  let isAutomatic: Bool
  /// Cores that stay idle or have more threads than they can run; nil when all is well.
  let warning: String?

  /// Chooses for all ranks.
  ///
  /// `auto` gives a rank the cores it may use, each divided by the ranks that may use it too, and no more than Slurm
  /// promised: bound ranks get their own cores, unbound ranks of a node the same share each.
  /// - Parameters:
  ///   - asked: `runtime.threads`; nil for auto.
  ///   - ranks: what `RankCores.gather` gave.
  ///   - hostNames: the host of each rank.
  init(asked: Int?, ranks: [RankCores], hostNames: [String]) {
    isAutomatic = asked == nil
    let nodes = Set(ranks.map(\.node)).sorted().map { node in ranks.indices.filter { ranks[$0].node == node } }
    var threads = [Int](repeating: asked ?? 1, count: ranks.count)
    if asked == nil {
      for members in nodes {
        for rank in members { threads[rank] = ThreadChoice.share(of: ranks[rank], among: members.map { ranks[$0] }) }
      }
    }
    self.threads = threads
    cores = nodes.map { ThreadChoice.union($0.map { ranks[$0] }).count }
    let warnings = nodes.compactMap { members in
      ThreadChoice.warning(members.map { ranks[$0] }, members.map { threads[$0] }, host: hostNames[members[0]])
    }
    warning = warnings.first.map { $0 + (warnings.count > 1 ? " (and \(warnings.count - 1) more nodes)" : "") }
  }

  /// What the start of a run says: `2 × 1 threads (auto) on 2 cores`.
  var summary: String {
    "\(threads.count) × \(ThreadChoice.range(threads)) threads\(isAutomatic ? " (auto)" : "") on "
      + "\(ThreadChoice.range(cores)) core\(cores == [1] ? "" : "s")" + (cores.count > 1 ? " a node" : "")
  }

  private static func counted(_ cores: Int) -> String { cores == 1 ? "1 core" : "\(cores) cores" }

  private static func range(_ values: [Int]) -> String {
    let (least, most) = (values.min() ?? 0, values.max() ?? 0)
    return least == most ? "\(least)" : "\(least) to \(most)"
  }

  private static func union(_ ranks: [RankCores]) -> Set<Int> {
    ranks.reduce(into: Set<Int>()) { $0.formUnion($1.cores) }
  }

  private static func share(of rank: RankCores, among node: [RankCores]) -> Int {
    // In units of 1 / 5040 core, which 1 to 10 ranks divide without rest: thirds must add up to a whole.
    let parts = rank.cores.map { core in 5040.0 / Double(node.filter { $0.cores.contains(core) }.count) }
    let share = Int((parts.reduce(0, +) + 0.5) / 5040)
    let siblings = max(1, rank.cpus / max(1, rank.cores.count))
    let promised = rank.slurmCPUs.map { max(1, $0 / siblings) } ?? share
    return max(1, min(share, promised))
  }

  private static func warning(_ node: [RankCores], _ threads: [Int], host: String) -> String? {
    let cores = union(node).count
    let total = threads.reduce(0, +)
    let available = node[0].launcherCores ?? cores
    if total > available {
      return "\(host): \(total) threads of \(node.count) ranks share \(counted(available)): use fewer ranks or threads"
    }
    if let rank = node.indices.first(where: { threads[$0] > node[$0].cores.count }) {
      return "\(host): \(threads[rank]) threads of a rank share \(counted(node[rank].cores.count)), to which it is "
        + "bound: start with mpirun --map-by slot:PE=\(threads[rank]) --bind-to core, or --bind-to none"
    }
    if total > cores {
      return "\(host): \(total) threads of \(node.count) ranks share \(counted(cores)), to which they are bound: "
        + "start with mpirun --map-by slot:PE=\(threads.max() ?? 1) --bind-to core, or --bind-to none"
    }
    if available > cores {
      return "\(host): the ranks are bound to \(cores) of \(available) cores, the others stay idle: start with "
        + "mpirun --map-by slot:PE=<cores of a rank> --bind-to core, or --bind-to none"
    }
    return nil
  }
}
