import Basics
import Images
import Pipeline
import XCTest

final class ColourRecipeTests: XCTestCase {
  private static let keys = 24_000
  private let jitter = ColourJitter(brightness: 0.4, contrast: 0.4, saturation: 0.2, hue: 0.1)

  private func recipe(jitter jitterProb: Double, blur: Double, grey: Double, solarise: Double) -> ColourRecipe {
    ColourRecipe([
      .init(.jitter(jitter), probability: jitterProb), .init(.blur(sigma: 0.1...2), probability: blur),
      .init(.grey, probability: grey), .init(.solarise(threshold: 128), probability: solarise),
    ])
  }

  /// What the recipe draws for many images.
  private func draws(_ recipe: ColourRecipe, view: Int = 0) -> [[ColourOperation]] {
    (0..<Self.keys).map { index in
      var random = RandomStream(seed: 3, purpose: .colour, epoch: 1, index: index, view: view)
      return recipe.draw(&random)
    }
  }

  /// The share of images, within four standard deviations of `probability`.
  private func expectShare(
    _ count: Int, _ probability: Double, of total: Int = keys, _ what: String, line: UInt = #line
  ) {
    let deviation = (probability * (1 - probability) / Double(total)).squareRoot()
    XCTAssertEqual(Double(count) / Double(total), probability, accuracy: 4 * deviation, what, line: line)
  }

  func testEveryStepHappensAsOftenAsItsProbability() {
    let all = draws(recipe(jitter: 0.8, blur: 0.1, grey: 0.2, solarise: 0.3))
    func count(_ kind: Kind) -> Int { all.count { $0.contains { Kind($0) == kind } } }
    for kind in [Kind.brightness, .contrast, .saturation, .hue] { expectShare(count(kind), 0.8, "\(kind)") }
    expectShare(count(.blur), 0.1, "blur")
    expectShare(count(.grey), 0.2, "grey")
    expectShare(count(.solarise), 0.3, "solarise")
    // Independent: both happen as often as the product says.
    let both = all.count { list in list.contains { Kind($0) == .grey } && list.contains { Kind($0) == .blur } }
    expectShare(both, 0.02, "blur and grey")
    let certain = draws(recipe(jitter: 0, blur: 1, grey: 0, solarise: 0))
    XCTAssertTrue(certain.allSatisfy { $0.map(Kind.init) == [.blur] })
  }

  func testStepsComeInTheOrderOfTheRecipe() {
    let all = draws(recipe(jitter: 1, blur: 1, grey: 1, solarise: 1))
    XCTAssertTrue(all.allSatisfy { $0.count == 7 && $0.suffix(3).map(Kind.init) == [.blur, .grey, .solarise] })
    let other = ColourRecipe([.init(.grey, probability: 1), .init(.blur(sigma: 1...1), probability: 1)])
    var random = RandomStream(seed: 0, purpose: .colour)
    XCTAssertEqual(other.draw(&random), [.grey, .blur(sigma: 1)])
  }

  func testJitterOrdersAreUniform() {
    let all = draws(ColourRecipe([.init(.jitter(jitter), probability: 1)]))
    let counts = Dictionary(grouping: all.map { $0.map(Kind.init) }) { $0 }.mapValues(\.count)
    XCTAssertEqual(counts.count, 24)
    for (order, count) in counts { expectShare(count, 1.0 / 24, "\(order)") }
  }

  func testNumbersAreUniformInTheirRanges() {
    let all = draws(recipe(jitter: 1, blur: 1, grey: 0, solarise: 0)).flatMap { $0 }
    let ranges: [(Kind, ClosedRange<Double>)] = [
      (.brightness, 0.6...1.4), (.contrast, 0.6...1.4), (.saturation, 0.8...1.2), (.hue, -0.1...0.1),
      (.blur, 0.1...2),
    ]
    for (kind, range) in ranges {
      let values = all.filter { Kind($0) == kind }.map(value)
      XCTAssertEqual(values.count, Self.keys)
      XCTAssertTrue(values.allSatisfy { range.contains($0) }, "\(kind)")
      let width = range.upperBound - range.lowerBound
      for quarter in 0..<4 {
        let from = range.lowerBound + width * Double(quarter) / 4
        let count = values.count { $0 >= from && $0 < from + width / 4 }
        expectShare(count, 0.25, "\(kind), quarter \(quarter)")
      }
    }
  }

  func testStrengthsAboveOneStopAtZeroAndZeroLeavesOneOut() {
    let strong = ColourJitter(brightness: 2, contrast: 0, saturation: 0, hue: 0)
    let all = draws(ColourRecipe([.init(.jitter(strong), probability: 1)]))
    XCTAssertTrue(all.allSatisfy { $0.count == 1 && Kind($0[0]) == .brightness && (0..<3).contains(value($0[0])) })
    XCTAssertLessThan(all.map { value($0[0]) }.min() ?? 1, 0.01)
    let none = ColourJitter(brightness: 0, contrast: 0, saturation: 0, hue: 0)
    XCTAssertTrue(draws(ColourRecipe([.init(.jitter(none), probability: 1)])).allSatisfy(\.isEmpty))
  }

  func testNoStepsDrawsDependOnAnothersSettings() {
    let one = draws(recipe(jitter: 0.8, blur: 0.5, grey: 0.2, solarise: 0.2))
    let other = draws(recipe(jitter: 0.1, blur: 1, grey: 0.2, solarise: 0.2))
    for (a, b) in zip(one, other) {
      for kind in [Kind.grey, .solarise] {
        XCTAssertEqual(a.contains { Kind($0) == kind }, b.contains { Kind($0) == kind })
      }
      if let blur = a.first(where: { Kind($0) == .blur }) { XCTAssertTrue(b.contains(blur)) }
      if b.contains(where: { Kind($0) == .hue }) { XCTAssertEqual(Array(a.prefix(4)), Array(b.prefix(4))) }
    }
  }

  func testTheOrderOfDrawsIsFixed() {
    var random = RandomStream(seed: 5, purpose: .colour, epoch: 2, index: 77, view: 1)
    var same = random
    let drawn = recipe(jitter: 1, blur: 1, grey: 0, solarise: 1).draw(&random)
    _ = same.uniform()
    let order = same.permutation(4)
    let factors = [
      ColourOperation.brightness(same.uniform(0.6..<1.4)), .contrast(same.uniform(0.6..<1.4)),
      .saturation(same.uniform(0.8..<1.2)), .hue(same.uniform(-0.1..<0.1)),
    ]
    _ = same.uniform()
    let sigma = same.uniform(0.1..<2)
    for _ in 0..<2 { _ = same.uniform() }
    XCTAssertEqual(drawn, order.map { factors[Int($0)] } + [.blur(sigma: sigma), .solarise(threshold: 128)])
    XCTAssertEqual(random.next(), same.next())
  }

  func testKeysDecideAlone() {
    let recipe = recipe(jitter: 0.8, blur: 0.5, grey: 0.2, solarise: 0.2)
    func drawn(seed: UInt64 = 1, epoch: Int = 0, index: Int = 0, view: Int = 0) -> [ColourOperation] {
      var random = RandomStream(seed: seed, purpose: .colour, epoch: epoch, index: index, view: view)
      return recipe.draw(&random)
    }
    let lists = [drawn(), drawn(seed: 2), drawn(epoch: 1), drawn(index: 4), drawn(view: 1)]
    XCTAssertEqual(lists, [drawn(), drawn(seed: 2), drawn(epoch: 1), drawn(index: 4), drawn(view: 1)])
    for i in lists.indices { for j in 0..<i { XCTAssertNotEqual(lists[i], lists[j], "\(i), \(j)") } }
  }

  private enum Kind: Hashable {
    case brightness, contrast, saturation, hue, grey, solarise, blur

    init(_ operation: ColourOperation) {
      switch operation {
      case .brightness: self = .brightness
      case .contrast: self = .contrast
      case .saturation: self = .saturation
      case .hue: self = .hue
      case .grey: self = .grey
      case .solarise: self = .solarise
      case .blur: self = .blur
      }
    }
  }

  private func value(_ operation: ColourOperation) -> Double {
    switch operation {
    case .brightness(let value), .contrast(let value), .saturation(let value), .hue(let value), .blur(let value):
      return value
    case .grey, .solarise: return .nan
    }
  }
}
