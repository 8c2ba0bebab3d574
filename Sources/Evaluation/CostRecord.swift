import Basics
import Foundation
import Messaging

/// What a run directory says about costs and about what they bought.
struct CostRecord {
  /// A score of the run at some step: of the monitor while it trained.
  struct Measurement: Equatable {
    let stage: String
    let step: Int
    let knn: Double
  }

  /// The name of the directory.
  let name: String
  let summary: CostSummary
  /// The scores of the k-NN monitor, in their order.
  let measurements: [Measurement]
  /// The first headline number of each report in `eval/`, by the name of its protocol.
  let scores: [String: Double]

  /// The stages in the order in which they were trained.
  var stages: [String] {
    summary.accounts.reduce(into: []) { names, account in
      if !names.contains(account.stage) { names.append(account.stage) }
    }
  }

  /// Reads a run directory.
  ///
  /// - Throws: input missing when it has no metrics or these hold no costs, bad data when a line is damaged.
  /// - Collective: all ranks; rank 0 reads.
  init(_ directory: String, _ communicator: Communicator) throws(Failure) {
    let own = try communicator.agreed { () throws(Failure) -> (metrics: String, reports: String) in
      guard communicator.isCoordinator else { return ("", "") }
      return (try CostRecord.metrics(of: directory), try CostRecord.reports(of: directory).line)
    }
    try self.init(
      name: URL(fileURLWithPath: directory).lastPathComponent, metrics: communicator.broadcast(own.metrics),
      reports: JSON.parse(communicator.broadcast(own.reports)), place: "\(directory)/metrics.jsonl")
  }

  /// - Parameter reports: the reports of `eval/`, an array.
  /// - Throws: input missing when there are no costs, bad data when a line cannot be read.
  init(name: String, metrics: String, reports: JSON, place: String) throws(Failure) {
    self.name = name
    let lines = metrics.split(separator: "\n", omittingEmptySubsequences: false)
    var (accounts, measurements): ([CostAccount], [Measurement]) = ([], [])
    for (number, text) in lines.enumerated() where !text.isEmpty {
      let here = "\(place):\(number + 1)"
      let line: JSON
      do throws(Failure) { line = try JSON.parse(String(text)) } catch {
        // The last line of a run that was killed may be half of one.
        if number == lines.count - 1 { break }
        throw Failure(error.code, error.what, at: here, hint: error.hint)
      }
      if line["kind"] == .string("cost") { accounts.append(try CostAccount(line, place: here)) }
      if line["kind"] == .string("eval"), let stage = line["stage"]?.stringValue, let step = line["step"]?.intValue,
        let knn = line["knn_top1"]?.doubleValue
      {
        measurements.append(Measurement(stage: stage, step: step, knn: knn))
      }
    }
    guard !accounts.isEmpty else {
      throw Failure(
        .inputMissing, "the metrics of the run hold no costs", at: place,
        hint:
          "train with log.cost=true, the default; a run shorter than an epoch has costs from its first checkpoint on")
    }
    summary = CostSummary(accounts: accounts)
    self.measurements = measurements
    scores = CostRecord.scores(reports)
  }

  /// The first headline number of every report; of several reports of a protocol that of the last.
  private static func scores(_ reports: JSON) -> [String: Double] {
    var scores: [String: Double] = [:]
    // A file holds one report, or several.
    for report in (reports.arrayValue ?? []).flatMap({ $0["records"]?.arrayValue ?? [$0] }) {
      guard let name = report["headline"]?.arrayValue?.first?.stringValue,
        let value = report["metrics"]?[name]?.doubleValue
      else { continue }
      scores[String(name.prefix { $0 != "." })] = value
    }
    return scores
  }

  private static func metrics(of directory: String) throws(Failure) -> String {
    let path = "\(directory)/metrics.jsonl"
    guard FileManager.default.fileExists(atPath: path) else {
      throw Failure(
        .inputMissing, "there are no metrics of a run", at: path,
        hint: "costs are those of a run directory, which sslmpi pretrain --out makes")
    }
    return try text(of: path)
  }

  private static func reports(of directory: String) throws(Failure) -> JSON {
    let folder = "\(directory)/eval"
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    var reports: [JSON] = []
    for name in names.sorted() where name.hasSuffix(".json") {
      let path = "\(folder)/\(name)"
      do throws(Failure) { reports.append(try JSON.parse(try text(of: path))) } catch {
        throw Failure(error.code, error.what, at: path, hint: "remove the file, or evaluate again")
      }
    }
    return .array(reports)
  }

  private static func text(of path: String) throws(Failure) -> String {
    do {
      return try String(contentsOfFile: path, encoding: .utf8)
    } catch {
      throw Failure(.ioError, "cannot read the file: \(error.localizedDescription)", at: path)
    }
  }
}
