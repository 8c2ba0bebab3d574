import Basics
import Foundation
import Messaging

/// The physical cores that one rank may use.
struct RankCores: Equatable, Sendable {
  /// The number of its node.
  var node: Int
  /// The cores of its affinity mask; of hyper-threads of one core the first stands for all.
  var cores: Set<Int>
  /// The logical CPUs of its mask.
  var cpus: Int
  /// How many cores the launcher could have given to the ranks of this node; nil when that cannot be known.
  var launcherCores: Int?
  /// The logical CPUs that Slurm promised to each task; nil outside of a Slurm step.
  var slurmCPUs: Int?
}

extension RankCores {
  /// What the system says about this process.
  ///
  /// A core is known by its first hyper-thread, from /sys; where that cannot be read every CPU counts as a core.
  static func ofThisProcess(node: Int) -> RankCores {
    let cpus = affinity(of: "self")
    // Only mpirun's daemon binds ranks to parts of what it may use itself; the mask of a shell or of Slurm's own
    // daemon says nothing about what is left for us.
    let environment = ProcessInfo.processInfo.environment
    let isUnderMpirun = environment["OMPI_COMM_WORLD_SIZE"] != nil
    return RankCores(
      node: node, cores: Set(cpus.map(core)), cpus: cpus.count,
      launcherCores: isUnderMpirun ? Set(affinity(of: "\(getppid())").map(core)).count : nil,
      slurmCPUs: environment["SLURM_STEP_ID"] == nil ? nil : environment["SLURM_CPUS_PER_TASK"].flatMap { Int($0) })
  }

  /// What all ranks say, in rank order. Collective: all ranks.
  static func gather(_ communicator: Communicator) throws(Failure) -> [RankCores] {
    try communicator.allGather(ofThisProcess(node: communicator.node.index).encoded).map(RankCores.init(encoded:))
  }

  /// As bytes that another rank can read.
  var encoded: [UInt8] {
    let numbers = [node, cpus, launcherCores ?? -1, slurmCPUs ?? -1] + cores.sorted()
    return Array(numbers.map(String.init).joined(separator: " ").utf8)
  }

  /// What `encoded` came from.
  init(encoded bytes: [UInt8]) {
    let numbers = String(decoding: bytes, as: UTF8.self).split(separator: " ").compactMap { Int($0) }
    precondition(numbers.count >= 4, "RankCores: \(numbers.count) numbers")
    self.init(
      node: numbers[0], cores: Set(numbers.dropFirst(4)), cpus: numbers[1],
      launcherCores: numbers[2] < 0 ? nil : numbers[2], slurmCPUs: numbers[3] < 0 ? nil : numbers[3])
  }

  /// The CPUs that a process may use, as the kernel lists them; none when it says nothing.
  private static func affinity(of process: String) -> [Int] {
    let status = (try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)) ?? ""
    let title = "Cpus_allowed_list:"
    let line = status.split(separator: "\n").first { $0.hasPrefix(title) }
    return numbers(inList: line.map { String($0.dropFirst(title.count)) } ?? "")
  }

  /// The numbers of a list as the kernel writes it: `0-3,8` is 0, 1, 2, 3, 8.
  static func numbers(inList text: String) -> [Int] {
    text.split(separator: ",").flatMap { part -> [Int] in
      let ends = part.split(separator: "-").compactMap { Int($0.filter(\.isNumber)) }
      guard let first = ends.first, let last = ends.last, first <= last else { return [] }
      return Array(first...last)
    }
  }

  private static func core(of cpu: Int) -> Int {
    let path = "/sys/devices/system/cpu/cpu\(cpu)/topology/thread_siblings_list"
    return (try? String(contentsOfFile: path, encoding: .utf8)).flatMap { numbers(inList: $0).first } ?? cpu
  }
}
