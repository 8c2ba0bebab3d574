import Basics
import Features
import Foundation
import Messaging
import Pipeline
import TestKit
import Tensors
import XCTest

final class ExtractionTests: XCTestCase {
  private static let kinds = [FeatureKind(.classToken(0)), FeatureKind(.patches([]))]
  private static let shapes = [[6], [4, 48]]
  private let weight = Tensor(ExactRandom.floats(6 * 3 * 64, seed: 2), [6, 3 * 64])

  /// A linear map of an image, and the image itself as four tokens.
  private func encode(_ images: Tensor) -> [Tensor] {
    let features = Tensor(uninitialized: [images.shape[0], 6])
    Matmul.forward(images.reshaped([images.shape[0], 3 * 64]), weight, into: features)
    return [features, images.reshaped([images.shape[0], 4, 48])]
  }

  private func shapes(_ count: Int, seed: Int = 3) throws -> DataSource {
    try DataSource.open("synth:tinyshapes?n=\(count)&size=8&seed=\(seed)", labels: true)
  }

  func testFeaturesHaveTheSameBitsForEveryBatchSizeAndEveryNumberOfRanks() throws {
    let world = try sharedCommunicator()
    let source = try shapes(23)
    let all = try evaluationBatch(source, indices: Array(0..<23), size: 8)
    let whole = ProductEngine.withNative { encode(all) }
    for (batch, workers) in [(1, 0), (4, 1), (32, 3)] {
      var extraction = Extraction(source, ImagePreparation(size: 8))
      extraction.options.batch = batch
      extraction.options.workers = workers
      let sets = try extraction.features(Self.kinds, itemShapes: Self.shapes, world) { encode($0) }
      for (set, expected) in zip(sets, whole) {
        XCTAssertEqual(set.rows.array, expected.rows(set.range).array, "batch \(batch), \(workers) workers")
        XCTAssertEqual(set.range, blockRange(count: 23, part: world.rank, of: world.size))
        XCTAssertEqual(set.labels, (0..<23).map { source.label($0) })
        XCTAssertEqual(set.indices, (0..<23).map(Int64.init))
        XCTAssertEqual(set.classNames, TinyShapes.classNames)
      }
      XCTAssertEqual(sets[1].itemShape, [4, 48])
      XCTAssertEqual(sets[0].origin.feature, "cls")
      XCTAssertEqual(sets[0].origin.transform, "eval(8, bicubic)")
      XCTAssertEqual(sets[0].origin.dataHash, String(source.fingerprint, radix: 16))
    }
  }

  func testChosenImagesKeepTheirOrderAndTheirNumbers() throws {
    let world = try sharedCommunicator()
    let (source, chosen) = (try shapes(20), [17, 3, 4, 3, 11])
    let all = try evaluationBatch(source, indices: chosen, size: 8)
    let set = try Extraction(source, ImagePreparation(size: 8), indices: chosen)
      .features([Self.kinds[1]], itemShapes: [Self.shapes[1]], world) { [self.encode($0)[1]] }[0]
    XCTAssertEqual(set.rows.array, all.rows(set.range).array)
    XCTAssertEqual(set.indices, [17, 3, 4, 3, 11])
    XCTAssertEqual(set.labels, [7, 3, 4, 3, 1])
  }

  func testFewerImagesThanRanksAreStillOnceEach() throws {
    let world = try sharedCommunicator()
    let set = try Extraction(try shapes(1), ImagePreparation(size: 8))
      .features([Self.kinds[0]], itemShapes: [Self.shapes[0]], world) { [self.encode($0)[0]] }[0]
    XCTAssertEqual(set.count, 1)
    XCTAssertEqual(try world.allReduceSum([Int64(set.range.count)]), [1])
  }

  func testEveryTrainingPassDrawsItsOwnViewsAndDrawsThemAgain() throws {
    let world = try sharedCommunicator()
    let source = try shapes(9)
    func pixels(_ view: ImageView, seed: UInt64 = 1, batch: Int = 4) throws -> [Float] {
      var extraction = Extraction(source, ImagePreparation(view, size: 8, seed: seed))
      extraction.options.batch = batch
      let set = try extraction.features([Self.kinds[1]], itemShapes: [Self.shapes[1]], world) {
        [self.encode($0)[1]]
      }[0]
      let parts = try world.allGather(set.rows.array.withUnsafeBytes { Array($0) })
      return parts.flatMap { part in part.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) } }
    }
    let first = try pixels(.training(pass: 0))
    XCTAssertEqual(first, try pixels(.training(pass: 0), batch: 2))
    XCTAssertNotEqual(first, try pixels(.training(pass: 1)))
    XCTAssertNotEqual(first, try pixels(.training(pass: 0), seed: 2))
    XCTAssertNotEqual(first, try pixels(.evaluation))
    // Alone, or in another place of another choice, an image looks the same.
    var alone = Extraction(source, ImagePreparation(.training(pass: 0), size: 8, seed: 1), indices: [5])
    alone.options.workers = 0
    let set = try alone.features([Self.kinds[1]], itemShapes: [Self.shapes[1]], world) { [self.encode($0)[1]] }[0]
    if !set.range.isEmpty { XCTAssertEqual(set.rows.array, Array(first[5 * 192..<6 * 192])) }
  }

  func testAFeatureThatIsNoNumberIsRefusedOnAllRanks() throws {
    let world = try sharedCommunicator()
    let source = try shapes(12)
    let poisoned = try evaluationBatch(source, indices: [7], size: 8).array
    for value in [Float.nan, .infinity] {
      XCTAssertThrowsError(
        try Extraction(source, ImagePreparation(size: 8))
          .features([Self.kinds[0]], itemShapes: [Self.shapes[0]], world) { images in
            let features = self.encode(images)[0]
            for row in 0..<images.shape[0] where images.rows(row..<row + 1).array == poisoned {
              features.pointer[row * 6 + 2] = value
            }
            return [features]
          }
      ) { error in
        XCTAssertEqual((error as? Failure)?.code, .nonFinite)
        XCTAssertTrue("\(error)".contains("the feature 'cls' of image \(source.name(7)) is not a number"), "\(error)")
      }
    }
  }

  func testAnImageThatCannotBeReadIsAnErrorUnlessItIsAllowed() throws {
    let world = try sharedCommunicator()
    let root = try world.broadcast(world.isCoordinator ? temporaryDirectory("bad") : "")
    let good = try shapes(6)
    if world.isCoordinator {
      for i in 0..<6 {
        let bytes = i == 4 ? [UInt8]("no picture".utf8) : try good.bytes(i)
        try Data(bytes).write(to: URL(fileURLWithPath: "\(root)/\(i).jpg"))
      }
    }
    try world.barrier()
    let source = try DataSource.open(root, labels: nil)
    XCTAssertEqual(source.label(0), -1)
    var extraction = Extraction(source, ImagePreparation(size: 8))
    func run() throws -> FeatureSet {
      try extraction.features([Self.kinds[1]], itemShapes: [Self.shapes[1]], world) { [self.encode($0)[1]] }[0]
    }
    XCTAssertThrowsError(try run()) { error in
      XCTAssertEqual((error as? Failure)?.code, .badData)
      XCTAssertTrue("\(error)".contains("cannot evaluate image 4.jpg"), "\(error)")
    }
    extraction.options.allowsBadImages = true
    let set = try run()
    let expected = try evaluationBatch(source, indices: Array(0..<6), size: 8, bad: { _ in })
    XCTAssertEqual(set.rows.array, expected.rows(set.range).array)
    if set.range.contains(4) {
      let row = 4 - set.range.lowerBound
      XCTAssertTrue(set.rows.rows(row..<row + 1).array.allSatisfy { $0 == 0 })
    }
  }

  func testTheEngineOfARunIsInUseAgainAfterwards() throws {
    let world = try sharedCommunicator()
    let before = ProductEngine.plan
    defer { XCTAssertNoThrow(try ProductEngine.use(before)) }
    try ProductEngine.use(.openblas)
    var engines: Set<ProductEngine> = []
    _ = try Extraction(try shapes(4), ImagePreparation(size: 8))
      .features([Self.kinds[0]], itemShapes: [Self.shapes[0]], world) { images in
        engines.insert(ProductEngine.plan.standard)
        return [self.encode(images)[0]]
      }
    XCTAssertTrue(engines.isSubset(of: [.native]))
    XCTAssertEqual(ProductEngine.plan.standard, .openblas)
  }
}
