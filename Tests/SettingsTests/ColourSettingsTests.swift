import Settings
import XCTest

/// What `augment:` says about colours.
final class ColourSettingsTests: XCTestCase {
  func testNothingIsOnByDefault() throws {
    let colour = try settings().augment.colour
    XCTAssertNil(colour.jitter)
    for probability in [colour.blurProb, colour.grayProb, colour.solarizeProb] {
      XCTAssertEqual(try probability.spread(over: 2), [0, 0])
    }
    XCTAssertEqual(try colour.jitterProb.spread(over: 1), [0.8])
    XCTAssertEqual(colour.blurSigma.0, 0.1)
    XCTAssertEqual(colour.blurSigma.1, 2)
    XCTAssertEqual(colour.solarizeThreshold, 128)
  }

  func testOneNumberIsForAllViewsAndAListForEach() throws {
    let text =
      "augment: {jitter: [0.4, 0.4, 0.2, 0.1], blur_prob: [1.0, 0.1], gray_prob: 0.2, solarize_prob: [0, 0.2]}\n"
    let colour = try settings(minimal + text).augment.colour
    XCTAssertEqual(colour.jitter, [0.4, 0.4, 0.2, 0.1])
    XCTAssertEqual(try colour.blurProb.spread(over: 2), [1, 0.1])
    XCTAssertEqual(try colour.grayProb.spread(over: 3), [0.2, 0.2, 0.2])
    XCTAssertEqual(try colour.solarizeProb.spread(over: 2), [0, 0.2])
    XCTAssertNil(try settings(minimal + text, ["augment.jitter=null"]).augment.colour.jitter)
  }

  func testAListOfAnotherLengthThanTheViewsNamesItsPlace() throws {
    let colour = try settings(minimal + "augment: {blur_prob: [1.0, 0.1]}\n").augment.colour
    for count in [1, 3] {
      let fault = failure { _ = try colour.blurProb.spread(over: count) }
      expect(fault, "'augment.blur_prob' has 2 numbers for \(count) view", "a.yaml:3", "one a view")
    }
    let given = try settings(minimal, ["augment.gray_prob=[0.1,0.2,0.3]"]).augment.colour
    expect(failure { _ = try given.grayProb.spread(over: 2) }, "at: augment.gray_prob=[0.1,0.2,0.3]")
  }

  func testValuesOutOfRangeAreRefusedWithTheirPlace() {
    let cases: [(yaml: String, words: String)] = [
      ("augment: {jitter: [0.4, 0.4, 0.2]}", "'augment.jitter' must be a list of 4"),
      ("augment: {jitter: 0.4}", "'augment.jitter' must be a list of 4"),
      ("augment: {jitter: [0.4, 0.4, 0.2, 0.6]}", "the hue of 'augment.jitter' is 0.6, allowed: 0 ... 0.5"),
      ("augment: {jitter: [-1, 0.4, 0.2, 0.1]}", "0 ... 10"),
      ("augment: {jitter_prob: 1.1}", "0 ... 1"),
      ("augment: {blur_prob: [0.5, -0.1]}", "0 ... 1"),
      ("augment: {blur_prob: []}", "at least one"),
      ("augment: {blur_sigma: [2, 0.1]}", "[smallest, largest]"),
      ("augment: {solarize_threshold: 257}", "0 ... 256"),
      ("augment: {grey_prob: 0.2}", "did you mean 'augment.gray_prob'?"),
    ]
    for (yaml, words) in cases {
      expect(failure { _ = try settings(minimal + yaml + "\n") }, words, "a.yaml:3")
    }
  }

  func testResolvedTextReadsBackAndExplainsItself() throws {
    let overrides = ["augment.jitter=[0.4,0.4,0.2,0.1]", "augment.blur_prob=[1,0.1]"]
    let first = try tree(minimal, overrides)
    _ = try RunSettings(from: first)
    XCTAssertTrue(first.resolvedYAML.contains("  jitter: [0.4, 0.4, 0.2, 0.1]\n"), first.resolvedYAML)
    let second = try SettingsTree.parse(first.resolvedYAML, named: "config.resolved.yaml")
    let colour = try RunSettings(from: second).augment.colour
    XCTAssertEqual(second.resolvedYAML, first.resolvedYAML)
    XCTAssertEqual(try colour.blurProb.spread(over: 2), [1, 0.1])
    XCTAssertTrue(try first.explain("augment.blur_prob").contains("a number for all views, or a list of one a view"))
    XCTAssertTrue(try first.explain("augment.gray_prob").hasPrefix("augment.gray_prob: 0.0\n"))
    XCTAssertTrue(try tree().explainAfterReading("augment.jitter").hasPrefix("augment.jitter: null\n"))
  }
}

extension SettingsTree {
  /// The text about a key of a tree that nobody has read yet.
  fileprivate func explainAfterReading(_ key: String) throws -> String {
    _ = try RunSettings(from: self)
    return try explain(key)
  }
}
