import Basics
import Pipeline
import XCTest

@testable import Methods

/// `augment:` as a method's view plan.
final class ViewsTests: XCTestCase {
  private let aug = """
    augment:
      views: 2
      crop_scale: [0.08, 1.0]
      jitter: [0.4, 0.4, 0.2, 0.1]
      jitter_prob: 0.8
      blur_prob: [1.0, 0.1]
      gray_prob: 0.2
      solarize_prob: [0.0, 0.2]
    """

  /// - Source: spec/mae-ct.md 4.5.
  func testTheAugRecipeOfMAECT() throws {
    let views = try TinyRun("mae", aug).method.views.views
    XCTAssertEqual(views.count, 2)
    let jitter = ColourRecipe.Change.jitter(
      ColourJitter(brightness: 0.4, contrast: 0.4, saturation: 0.2, hue: 0.1))
    let blur = ColourRecipe.Change.blur(sigma: 0.1...2)
    let rows: [[(ColourRecipe.Change, Double)]] = [
      [(jitter, 0.8), (blur, 1), (.grey, 0.2), (.solarise(threshold: 128), 0)],
      [(jitter, 0.8), (blur, 0.1), (.grey, 0.2), (.solarise(threshold: 128), 0.2)],
    ]
    for (view, row) in zip(views, rows) {
      XCTAssertEqual(view.cropScale, 0.08...1)
      XCTAssertEqual(view.flip, 0.5)
      XCTAssertEqual(view.colour, ColourRecipe(row.map { .init($0.0, probability: $0.1) }))
    }
  }

  func testWithoutColourKeysNoViewHasARecipe() throws {
    let views = try TinyRun("mae", "augment: {views: 2}").method.views.views
    XCTAssertEqual(views.map(\.colour), [nil, nil])
    XCTAssertEqual(views[0], views[1])
    // A probability without the strengths turns nothing on; a view of which nothing can happen has no recipe.
    let off = try TinyRun("mae", "augment: {views: 2, jitter_prob: 0.8, gray_prob: [0, 0.2]}").method.views.views
    XCTAssertNil(off[0].colour)
    XCTAssertEqual(off[1].colour?.steps.map(\.probability), [0, 0, 0.2, 0])
  }

  func testAListOfAnotherLengthEndsWithItsPlace() {
    for (key, views) in [("jitter_prob", 3), ("blur_prob", 3), ("gray_prob", 1), ("solarize_prob", 3)] {
      XCTAssertThrowsError(try TinyRun("mae", "augment: {views: \(views), \(key): [0.1, 0.2]}")) { error in
        let failure = error as? Failure
        XCTAssertEqual(failure?.code, .badConfig)
        XCTAssertTrue("\(error)".contains("'augment.\(key)' has 2 numbers for \(views) view"), "\(error)")
        XCTAssertTrue("\(error)".contains("test.yaml:"), "\(error)")
      }
    }
  }

  func testDifferentViewsAreJoinedInOneBatch() throws {
    let run = try TinyRun("mae", aug)
    let report = try run.method.loss(run.batch([3, 1]), at: run.step())
    XCTAssertTrue(report.total.value.item.isFinite)
  }
}
