import Basics
import Foundation

/// `metrics.jsonl`: one JSON object a line, appended by rank 0 alone.
///
/// Lines reach the disk at every checkpoint. A resumed stage first drops its own lines after its checkpoint's step,
/// so that a curve never runs back; those of other stages stay.
final class MetricLog {
  private let path: String
  private let attempt: Int
  private let stage: String
  private var file: FileHandle

  /// Opens the log for a stage, keeping only its lines up to `step` (nil keeps none).
  init(path: String, stage: String, keepingThrough step: Int?, attempt: Int) throws(Failure) {
    self.path = path
    self.attempt = attempt
    self.stage = stage
    try MetricLog.keep(path) { found, at in
      // Lines of before there were stages have no name.
      guard found ?? stage == stage else { return true }
      return step.map { at <= $0 } ?? false
    }
    guard let handle = FileHandle(forWritingAtPath: path) else {
      throw Failure.system("open", path: path, errno: errno)
    }
    file = handle
    file.seekToEndOfFile()
  }

  /// Removes the lines of some stages.
  static func remove(stages: [String], from path: String) throws(Failure) {
    guard FileManager.default.fileExists(atPath: path) else { return }
    try keep(path) { stage, _ in !stages.contains(stage ?? "") }
  }

  /// Keeps the lines that `belongs` says yes to; a line that cannot be read goes.
  private static func keep(_ path: String, where belongs: (_ stage: String?, _ step: Int) -> Bool) throws(Failure) {
    let kept = try lines(of: path).filter { line in
      guard let line = try? JSON.parse(line), let step = line["step"]?.intValue else { return false }
      return belongs(line["stage"]?.stringValue, step)
    }
    try AtomicFile.write(kept.map { $0 + "\n" }.joined(), to: path)
  }

  /// Appends one line; `schema`, `kind`, `time`, `attempt`, `stage` and `step` come first.
  func append(kind: String, step: Int, _ fields: [(String, JSON)]) throws(Failure) {
    let head: [(String, JSON)] = [
      ("schema", .int(1)), ("kind", .string(kind)), ("time", .string(timestamp())), ("attempt", .int(attempt)),
      ("stage", .string(stage)), ("step", .int(step)),
    ]
    do {
      try file.write(contentsOf: Data((JSON.object(head + fields).line + "\n").utf8))
    } catch {
      throw Failure(.ioError, "cannot append to the metrics: \(error)", at: path, hint: "is the disk full?")
    }
  }

  /// Makes all lines durable. Called with every checkpoint.
  func synchronise() throws(Failure) {
    guard fsync(file.fileDescriptor) == 0 else { throw Failure.system("fsync", path: path, errno: errno) }
  }

  private static func lines(of path: String) throws(Failure) -> [String] {
    guard FileManager.default.fileExists(atPath: path) else { return [] }
    do {
      return try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map(String.init)
    } catch {
      throw Failure(.ioError, "cannot read the metrics of the run so far", at: path, hint: "\(error)")
    }
  }
}

/// The time in UTC, to the second, as logs show it.
func timestamp() -> String {
  var now = time(nil)
  var parts = tm()
  gmtime_r(&now, &parts)
  var buffer = [CChar](repeating: 0, count: 32)
  strftime(&buffer, buffer.count, "%Y-%m-%dT%H:%M:%SZ", &parts)
  return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
