import Basics
import Foundation

/// What rank 0 prints while a run goes on: lines in a file, one rewritten line on a terminal. Other ranks are silent.
final class Console {
  private let speaks: Bool
  private let isTerminal: Bool
  private let listener: ((String) -> Void)?
  private var barIsOpen = false

  /// - Parameters:
  ///   - speaks: rank 0 and not quiet.
  ///   - mode: `auto`, `bar`, `lines` or `off`, as `SSLMPI_PROGRESS` gives it.
  ///   - listener: hears every message, whether it is printed or not.
  init(
    speaks: Bool, mode: String = ProcessInfo.processInfo.environment["SSLMPI_PROGRESS"] ?? "auto",
    listener: ((String) -> Void)? = nil
  ) {
    self.speaks = speaks && mode != "off"
    self.listener = listener
    isTerminal = mode == "bar" || (mode == "auto" && isatty(STDERR_FILENO) == 1)
  }

  /// A message of its own line.
  func say(_ text: String) {
    listener?(text)
    guard speaks else { return }
    closeBar()
    FileHandle.standardError.write(Data((text + "\n").utf8))
  }

  /// A message that also goes to standard output, for the last line of a run and results.
  func result(_ text: String) {
    listener?(text)
    guard speaks else { return }
    closeBar()
    FileHandle.standardOutput.write(Data((text + "\n").utf8))
  }

  /// The state of training: a line with its time in a file, a bar on a terminal.
  func progress(_ text: String, fraction: Double) {
    listener?(text)
    guard speaks else { return }
    guard isTerminal else {
      return FileHandle.standardError.write(Data("\(timestamp()) I \(text)\n".utf8))
    }
    let width = 24
    let filled = min(width, Int((Double(width) * fraction).rounded()))
    let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: width - filled)
    FileHandle.standardError.write(Data("\r\u{1B}[K[\(bar)] \(text)".utf8))
    barIsOpen = true
  }

  private func closeBar() {
    if barIsOpen { FileHandle.standardError.write(Data("\n".utf8)) }
    barIsOpen = false
  }
}

/// A number with four significant digits, as progress lines show it.
func short(_ value: Double) -> String { String(format: "%.4g", value) }

/// A duration for people: `2 d 3 h`, `4 h 05 m`, `12 s`.
func duration(_ seconds: Double) -> String {
  guard seconds.isFinite, seconds >= 0 else { return "unknown" }
  let whole = Int(seconds.rounded())
  switch whole {
  case 86_400...: return "\(whole / 86_400) d \(whole % 86_400 / 3600) h"
  case 3600...: return String(format: "%d h %02d m", whole / 3600, whole % 3600 / 60)
  case 60...: return String(format: "%d m %02d s", whole / 60, whole % 60)
  default: return "\(whole) s"
  }
}
