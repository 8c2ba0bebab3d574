import Basics
import Foundation
import Tensors

/// Memory after the first steps, before the calibration's own arrays come. Later steps take none from the system,
/// which `bytes_allocated_per_step` shows.
struct BenchMemory {
  let peakResidentMiB = Versions.peakResidentMiB
  let poolMiB = Double(StoragePool.bytesFromSystem) / 1_048_576
  let peakLiveMiB = Double(StoragePool.peakBytes) / 1_048_576
}

/// What was measured, and how it is shown.
struct BenchRecord {
  private let memory = BenchMemory()
  var sgemm: [Double] = []
  private var seconds: [Double] = []
  private var faults: [Int] = []
  private var allocated: [Int] = []
  private var classes = [Double](repeating: 0, count: OpClass.allCases.count)

  mutating func measure(_ step: () throws -> Void) rethrows {
    OpClock.reset()
    let before = (Versions.minorFaults, StoragePool.bytesFromSystem)
    let start = monotonicSeconds()
    try step()
    seconds.append(monotonicSeconds() - start)
    faults.append(Versions.minorFaults - before.0)
    allocated.append(StoragePool.bytesFromSystem - before.1)
    for op in OpClass.allCases { classes[op.rawValue] += OpClock.seconds(op) }
  }

  private func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    return sorted.isEmpty ? 0 : sorted[sorted.count / 2]
  }

  private func fields(_ bench: BenchedModel, _ options: StepBenchmark.Options) -> [(String, JSON)] {
    let step = median(seconds)
    let total = seconds.reduce(0, +)
    let gflops = bench.flopsPerStep / step / 1e9
    let calibration = median(sgemm)
    let counted = classes.reduce(0, +)
    let shares: [(String, JSON)] = OpClass.allCases.map { op in
      let own = op == .other ? max(0, total - counted) + classes[op.rawValue] : classes[op.rawValue]
      return ("\(op)", .double(own / total))
    }
    return [
      ("workload", .string(options.workload.rawValue)), ("batch", .int(options.batch)),
      ("threads", .int(options.threads)), ("gemm", .string(bench.products)),
      ("recompute", .string(options.recompute.rawValue)), ("steps", .int(seconds.count)),
      ("images_per_s", .double(Double(bench.imagesPerStep) / step)), ("step_s", .double(step)),
      ("step_s_min", .double(seconds.min() ?? 0)), ("step_s_max", .double(seconds.max() ?? 0)),
      ("gflops", .double(gflops)), ("sgemm_gflops", .double(calibration)),
      ("fraction_of_sgemm", .double(gflops / calibration)),
      ("minor_faults_per_step", .double(median(faults.map(Double.init)))),
      ("bytes_allocated_per_step", .double(median(allocated.map(Double.init)))),
      ("peak_rss_mib", .double(memory.peakResidentMiB)), ("pool_mib", .double(memory.poolMiB)),
      ("peak_live_mib", .double(memory.peakLiveMiB)),
      ("live_mib_after_forward", .double(Double(bench.liveBytesAfterForward) / 1_048_576)),
      ("isa", .string(InstructionSet.chosen.rawValue)),
      ("share", .object(shares)),
    ]
  }

  func json(_ bench: BenchedModel, _ options: StepBenchmark.Options) -> JSON { .object(fields(bench, options)) }

  func table(_ bench: BenchedModel, _ options: StepBenchmark.Options) -> String {
    fields(bench, options).flatMap { name, value -> [String] in
      guard let members = value.members else { return [BenchRecord.row(name, value)] }
      return members.map { BenchRecord.row("\(name) \($0.key)", $0.value) }
    }.joined(separator: "\n")
  }

  private static func row(_ name: String, _ value: JSON) -> String {
    let text = value.doubleValue.map { value.intValue.map(String.init) ?? short($0) } ?? value.stringValue ?? value.line
    return name.padding(toLength: 28, withPad: " ", startingAt: 0) + text
  }
}
