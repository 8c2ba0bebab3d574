import Foundation
import XCTest

/// The norm of a - b over the norm of b (over 1 when b is 0), in double.
public func relativeError(_ a: [Float], _ b: [Float]) -> Double {
  precondition(a.count == b.count, "relativeError: \(a.count) against \(b.count) values")
  var difference = 0.0
  var reference = 0.0
  for (x, y) in zip(a, b) {
    difference += (Double(x) - Double(y)) * (Double(x) - Double(y))
    reference += Double(y) * Double(y)
  }
  return (difference / (reference > 0 ? reference : 1)).squareRoot()
}

/// Whether every |a - b| <= absolute + relative * |b|; a value that is not finite never is.
public func areClose(_ a: [Float], _ b: [Float], relative: Double, absolute: Double) -> Bool {
  guard a.count == b.count else { return false }
  return zip(a, b).allSatisfy { x, y in
    abs(Double(x) - Double(y)) <= absolute + relative * abs(Double(y))
  }
}

/// Fails the test unless every element of `a` is close to its element of `b`; names the worst one.
public func expectClose(
  _ a: [Float], _ b: [Float], relative: Double = 1e-5, absolute: Double = 1e-6, _ what: String = "",
  file: StaticString = #filePath, line: UInt = #line
) {
  guard !areClose(a, b, relative: relative, absolute: absolute) else { return }
  guard a.count == b.count else {
    return XCTFail("\(what): \(a.count) values against \(b.count)", file: file, line: line)
  }
  let worst = a.indices.max { excess(a[$0], b[$0]) < excess(a[$1], b[$1]) } ?? 0
  XCTFail("\(what): element \(worst) is \(a[worst]), expected \(b[worst])", file: file, line: line)
}

private func excess(_ x: Float, _ y: Float) -> Double {
  let difference = abs(Double(x) - Double(y))
  return difference.isNaN ? .infinity : difference / (1e-12 + abs(Double(y)))
}

/// A fresh directory of its own in $TMPDIR, which `tools/test` removes at its end.
public func temporaryDirectory(_ purpose: String = "test") -> String {
  let path = FileManager.default.temporaryDirectory.appendingPathComponent("sslmpi-\(purpose)-\(UUID().uuidString)")
  do {
    try FileManager.default.createDirectory(at: path, withIntermediateDirectories: true)
  } catch {
    preconditionFailure("cannot make a temporary directory: \(error)")
  }
  return path.path
}
