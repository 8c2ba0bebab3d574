import Basics
import Images
import Storage

/// What one call of `sslmpi visualize` draws.
public struct Drawing {
  /// Pictures by the names of their files, without an ending.
  public let sheets: [(name: String, picture: Pixels)]
  /// The numbers behind the pictures.
  public let numbers: JSON
  /// What the terminal says, one line a fact.
  public let summary: [String]

  init(_ sheets: [(name: String, picture: Pixels)], numbers: [(String, JSON)], summary: [String] = []) {
    self.sheets = sheets
    self.numbers = .object(numbers)
    self.summary = summary
  }

  /// Writes pictures and numbers.
  ///
  /// - Parameter name: of the file of numbers, without ending.
  /// - Returns: the paths.
  /// - Throws: what keeps a file from being written.
  public func write(_ name: String, to directory: String) throws(Failure) -> [String] {
    try Directory.create(directory)
    var paths: [String] = []
    for sheet in sheets {
      paths.append("\(directory)/\(sheet.name).png")
      try AtomicFile.write(PNG.encode(sheet.picture), to: "\(directory)/\(sheet.name).png")
    }
    paths.append("\(directory)/\(name).json")
    try AtomicFile.write(numbers.line + "\n", to: "\(directory)/\(name).json")
    return paths
  }
}

/// A share from 0 on in percent, with one digit behind the point if that is not 0.
func percent(_ share: Double) -> String {
  let tenths = Int((1000 * share).rounded())
  return "\(tenths / 10)" + (tenths % 10 == 0 ? "" : ".\(tenths % 10)") + " %"
}

/// A number with two digits behind the point.
func twoDigits(_ value: Double) -> String {
  let hundredths = Int((100 * abs(value)).rounded())
  let digits = hundredths % 100
  return (value < 0 && hundredths > 0 ? "-" : "") + "\(hundredths / 100)." + (digits < 10 ? "0" : "") + "\(digits)"
}
