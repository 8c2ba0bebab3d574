import Basics
import Images
import Pipeline
import XCTest

/// What the loader makes of a plan whose views have recipes.
final class ColouredViewTests: XCTestCase {
  private let size = 16
  private let recipes = [
    ColourRecipe([
      .init(
        .jitter(ColourJitter(brightness: 0.4, contrast: 0.4, saturation: 0.2, hue: 0.1)), probability: 0.8),
      .init(.blur(sigma: 0.1...2), probability: 1), .init(.grey, probability: 0.2),
      .init(.solarise(threshold: 128), probability: 0),
    ]),
    ColourRecipe([
      .init(.grey, probability: 0.5), .init(.blur(sigma: 1...1), probability: 0.5),
      .init(.solarise(threshold: 100), probability: 0.5),
    ]),
  ]

  private func plan(_ recipes: [ColourRecipe?]) -> ViewPlan {
    ViewPlan(
      views: recipes.map { recipe in
        ViewSpec(size: size, cropScale: 0.2...1, colour: recipe, mean: [0, 0, 0], std: [1, 1, 1])
      })
  }

  private func shapes() throws -> DataSource {
    try DataSource.open("synth:tinyshapes?n=23&size=24&seed=4", labels: true)
  }

  func testRanksTogetherSeeTheSameColours() throws {
    let source = try shapes()
    let whole = try take(7, makeLoader(source, plan: plan(recipes)))
    for ranks in 2...4 {
      let parts = try (0..<ranks).map { try take(7, makeLoader(source, plan: plan(recipes), rank: $0, ranks: ranks)) }
      for step in 0..<7 {
        XCTAssertEqual(BatchContent(joining: parts.map { $0[step] }), whole[step], "\(ranks) ranks, step \(step)")
      }
    }
  }

  func testThreadsPrefetchAndBeginningDoNotChangeColours() throws {
    let source = try shapes()
    let reference = try take(5, makeLoader(source, plan: plan(recipes), threads: 0))
    for (threads, prefetch) in [(1, 1), (1, 3), (3, 1), (4, 5)] {
      let batches = try take(5, makeLoader(source, plan: plan(recipes), threads: threads, prefetch: prefetch))
      XCTAssertEqual(batches, reference)
    }
    XCTAssertEqual(try take(2, makeLoader(source, plan: plan(recipes), firstStep: 3)), Array(reference[3...]))
  }

  func testARecipeChangesTheColoursOfItsViewAlone() throws {
    let source = try shapes()
    let maker = ViewMaker()
    let count = 3 * size * size
    let plain = try take(4, makeLoader(source, plan: plan([nil, nil])))
    let coloured = try take(4, makeLoader(source, plan: plan([nil, recipes[1]])))
    var changed = 0
    for (a, b) in zip(plain, coloured) {
      XCTAssertEqual(a.views[0], b.views[0])
      for (row, index) in a.indices.enumerated() {
        let before = picture(a.views[1][(row * count)..<((row + 1) * count)])
        let after = picture(b.views[1][(row * count)..<((row + 1) * count)])
        var random = RandomStream(seed: 9, purpose: .colour, epoch: a.epoch, index: index, view: 1)
        XCTAssertEqual(after, maker.recoloured(before, recipes[1].draw(&random)), "image \(index)")
        if after != before { changed += 1 }
      }
    }
    XCTAssertGreaterThan(changed, 10)
  }

  func testAViewWithoutRecipeIsCropResizeAndFlipAlone() throws {
    let source = try shapes()
    let never = ColourRecipe(recipes[0].steps.map { .init($0.change, probability: 0) })
    let plain = try take(3, makeLoader(source, plan: plan([nil])))
    XCTAssertEqual(try take(3, makeLoader(source, plan: plan([never]))), plain)
    let maker = ViewMaker()
    let count = 3 * size * size
    for batch in plain {
      for (row, index) in batch.indices.enumerated() {
        var crop = RandomStream(seed: 9, purpose: .crop, epoch: batch.epoch, index: index)
        var flip = RandomStream(seed: 9, purpose: .flip, epoch: batch.epoch, index: index)
        let box = RandomResizedCrop(scale: 0.2...1, ratio: 0.75...(4.0 / 3)).box(width: 24, height: 24, random: &crop)
        let request = ViewRequest(box: box, size: size, isFlipped: flip.uniform() < 0.5)
        let made = picture(batch.views[0][(row * count)..<((row + 1) * count)])
        XCTAssertEqual(made, try maker.picture(request, of: source.bytes(index)), "image \(index)")
      }
    }
  }

  /// The bytes that planes of value / 255 were made of.
  private func picture(_ planes: ArraySlice<Float>) -> Pixels {
    let area = size * size
    var bytes = [UInt8](repeating: 0, count: 3 * area)
    for i in 0..<area {
      for c in 0..<3 { bytes[3 * i + c] = UInt8((planes[planes.startIndex + c * area + i] * 255).rounded()) }
    }
    return Pixels(width: size, height: size, bytes: bytes)
  }
}
