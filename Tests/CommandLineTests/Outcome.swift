import XCTest

/// Fails unless the program ended with `code` and said all `words` on standard error.
func expect(
  _ run: ProgramRun, code: Int32, _ words: String..., file: StaticString = #filePath, line: UInt = #line
) {
  XCTAssertEqual(run.code, code, run.errors + run.output, file: file, line: line)
  for word in words {
    XCTAssertTrue(run.errors.contains(word), "no '\(word)' in: \(run.errors)", file: file, line: line)
  }
}
