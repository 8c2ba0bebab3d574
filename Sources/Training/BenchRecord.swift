import Basics
import Foundation
import Tensors

/// What was measured, and how it is shown.
struct BenchRecord {
  /// Measured between the steps.
  var calibrations: [Calibration] = []
  /// Minor faults of each step.
  var faults: [Int] = []
  private let peakResidentMiB: Double
  private var seconds: [Double] = []
  private var allocated: [Int] = []
  private var totals = [OpClock.Total](repeating: OpClock.Total(), count: OpClass.allCases.count)

  init(peakResidentMiB: Double) { self.peakResidentMiB = peakResidentMiB }

  /// Runs one step and counts its time by kind of work.
  mutating func measure(_ step: () throws -> Void) rethrows {
    let before = (Versions.minorFaults, StoragePool.bytesFromSystem)
    OpClock.start()
    let start = monotonicSeconds()
    try step()
    seconds.append(monotonicSeconds() - start)
    for (place, total) in OpClock.stop().enumerated() {
      totals[place].seconds += total.seconds
      totals[place].work += total.work
    }
    faults.append(Versions.minorFaults - before.0)
    allocated.append(StoragePool.bytesFromSystem - before.1)
  }

  /// Whether the work of a class is counted in operations and not in floats.
  private static func isProduct(_ op: OpClass) -> Bool { [.linear, .attention, .lookup].contains(op) }

  /// One class beside what the machine could do.
  private struct Line {
    let op: OpClass
    /// Part of the step.
    let share: Double
    /// Seconds of a step.
    let seconds: Double
    /// 10⁹ operations a second for products, 10⁹ bytes a second for the rest; nil for a class without such work.
    let rate: Double?
    /// The rate over that of sgemm or of the triad in the same run.
    let ofLimit: Double?
    /// Seconds of a step above the limit.
    var gap: Double { seconds * (1 - (ofLimit ?? 0)) }
    var unit: String { BenchRecord.isProduct(op) ? "GFLOP/s" : "GB/s" }
  }

  /// - Parameters:
  ///   - limits: sgemm and triad of one rank, as the classes are of one rank.
  private func lines(sgemm: Double, triad: Double) -> [Line] {
    let steps = Double(max(seconds.count, 1))
    let all = totals.reduce(0) { $0 + $1.seconds }
    return OpClass.allCases.map { op in
      let total = totals[op.rawValue]
      let isProduct = BenchRecord.isProduct(op)
      let amount = Double(total.work) * (isProduct ? 1 : Double(MemoryLayout<Float>.size))
      let rate = total.work > 0 && total.seconds > 0 ? amount / total.seconds / 1e9 : nil
      return Line(
        op: op, share: total.seconds / all, seconds: total.seconds / steps, rate: rate,
        ofLimit: rate.map { $0 / (isProduct ? sgemm : triad) })
    }
  }

  private func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    return sorted.isEmpty ? 0 : sorted[sorted.count / 2]
  }

  private func measured(_ bench: BenchedModel, _ options: StepBenchmark.Options) -> ([(String, JSON)], [Line]) {
    let step = median(seconds)
    let gflops = bench.flopsPerImage * Double(bench.imagesPerStep) / step / 1e9
    let (sgemm, triad) = (median(calibrations.map(\.sgemm)), median(calibrations.map(\.triad)))
    let ranks = bench.imagesPerStep / options.batch
    let lines = lines(sgemm: sgemm / Double(ranks), triad: triad / Double(ranks))
    let passes = [OpClass.normalisation, .elementwise].reduce(0) { $0 + totals[$1.rawValue].work }
    let largest = lines.max { $0.gap < $1.gap }
    return (
      [
        ("workload", .string(options.workload.rawValue)),
        ("own_sizes", .bool(options.sizes == StepBenchmark.Sizes())), ("tokens", .int(bench.tokens)),
        ("width", .int(bench.encoder.width)), ("depth", .int(bench.encoder.depth)),
        ("heads", .int(bench.encoder.heads)), ("ranks", .int(ranks)), ("batch", .int(bench.imagesPerStep)),
        ("threads", .int(options.threads)), ("gemm", .string(bench.products)),
        ("recompute", .string(options.recompute.rawValue)),
        ("isa", .string(InstructionSet.chosen.rawValue)), ("steps", .int(seconds.count)),
        ("images_per_s", .double(Double(bench.imagesPerStep) / step)), ("step_s", .double(step)),
        ("step_s_min", .double(seconds.min() ?? 0)), ("step_s_max", .double(seconds.max() ?? 0)),
        ("gflops_per_image", .double(bench.flopsPerImage / 1e9)), ("gflops", .double(gflops)),
        ("sgemm_gflops", .double(sgemm)), ("fraction_of_sgemm", .double(gflops / sgemm)),
        ("triad_gb_per_s", .double(triad)), ("minor_faults_per_step", .double(median(faults.map(Double.init)))),
        ("bytes_allocated_per_step", .double(median(allocated.map(Double.init)))),
        ("peak_rss_mib", .double(peakResidentMiB)),
        ("peak_live_mib", .double(Double(StoragePool.peakBytes) / 1_048_576)),
        ("live_mib_after_forward", .double(Double(bench.liveBytesAfterForward) / 1_048_576)),
        // Compare with the width: this many floats pass for each token and block, in units of the width.
        ("traffic_per_block", .double(Double(passes) / Double(seconds.count * bench.blockFloats))),
        ("explained", .double(1 - (lines.first { $0.op == .other }?.share ?? 0))),
        ("largest_gap", .string(largest.map { "\($0.op)" } ?? "")),
      ], lines
    )
  }

  func json(_ bench: BenchedModel, _ options: StepBenchmark.Options) -> JSON {
    let (fields, lines) = measured(bench, options)
    func object(_ value: (Line) -> Double?) -> JSON {
      .object(lines.compactMap { line in value(line).map { ("\(line.op)", .double($0)) } })
    }
    return .object(
      fields + [
        ("share", object { $0.share }), ("class_s", object { $0.seconds }), ("rate", object { $0.rate }),
        ("of_limit", object { $0.ofLimit }), ("gap_s", object { $0.gap }),
      ])
  }

  func table(_ bench: BenchedModel, _ options: StepBenchmark.Options) -> String {
    let (fields, lines) = measured(bench, options)
    let rows = fields.map { name, value in
      let number = value.intValue.map(String.init) ?? value.doubleValue.map(short)
      return BenchRecord.row([number ?? value.stringValue ?? value.line], after: name)
    }
    let classes = lines.map { line in
      BenchRecord.row(
        [
          short(line.share), short(line.seconds * 1e3), line.rate.map { "\(short($0)) \(line.unit)" } ?? "-",
          line.ofLimit.map(short) ?? "-", short(line.gap * 1e3),
        ], after: "\(line.op)")
    }
    let head = BenchRecord.row(["share", "ms a step", "rate", "of its limit", "ms above it"], after: "class")
    return (rows + ["", head] + classes).joined(separator: "\n")
  }

  private static func row(_ cells: [String], after name: String) -> String {
    let padded =
      [name.padding(toLength: 28, withPad: " ", startingAt: 0)]
      + cells.dropLast().map { $0.padding(toLength: 18, withPad: " ", startingAt: 0) } + cells.suffix(1)
    return padded.joined()
  }
}
