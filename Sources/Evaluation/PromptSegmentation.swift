import Basics
import Features
import Messaging
import Pipeline
import Settings

/// Segments objects by the similarity of their patches to one of them, the prompt.
///
/// An object is all pixels of a class in an image, or each part of them that hangs together (`unit=instance`). Objects
/// of less than a patch, and those that fill no patch by majority, are passed over and counted. The prompt is the patch
/// of the object farthest from patches of something else, or the mean direction of some of its patches. Patches whose
/// cosine to the prompt is above T make the object; measured is the share of pixels, ignored ones left out, that mask
/// and object have in common among those of either (IoU).
/// - Source: spec/evaluation.md E8.
struct PromptSegmentation: Evaluator {
  static let name = "promptseg"
  static let question = "Does the likeness of patches to one of them outline an object?"

  let split: Split
  let thresholds: [Double]
  let unit: ObjectRegions.Unit
  let upsampling: SimilarityMap.Upsampling
  let background: UInt8?
  /// How many patches are averaged; nil for the central one.
  let randomPatches: Int?

  var feature: FeatureChoice { .patches }

  init(_ section: Section, isTiny: Bool) throws(Failure) {
    split = try section.split("the part of the data whose objects are segmented")
    let given = try section.doubles(
      "thresholds", default: (0...9).map { Double($0) / 10 }, in: -2...1, "cosines above which a patch is selected")
    guard !given.isEmpty, Set(given).count == given.count else {
      throw section.failure("thresholds", "'thresholds' needs at least one number, none of them twice")
    }
    thresholds = given.sorted()
    unit = try section.word("unit", default: .category, "an object: all of a class in an image, or a connected part")
    upsampling = try section.word("upsample", default: .bilinear, "how patches become pixels")
    background = try section.background()
    let prompt = try section.string("prompt", default: "centre", "centre, or random:S for the mean of S patches")
    randomPatches = try Self.randomPatches(prompt, section)
  }

  private static func randomPatches(_ prompt: String, _ section: Section) throws(Failure) -> Int? {
    if prompt == "centre" { return nil }
    guard prompt.hasPrefix("random:"), let count = Int(prompt.dropFirst(7)), count > 0 else {
      throw section.failure(
        "prompt", "'prompt' is \(prompt)", hint: "centre, or random:3 for the mean of three patches of the object")
    }
    return count
  }

  /// Measures every object of the split.
  ///
  /// - Throws: bad data without patch tokens or without objects; input missing without masks.
  /// - Collective: all ranks.
  func evaluate(_ context: EvaluationContext) throws -> EvaluationReport {
    let tokens = try PatchTokens(context, split)
    let own = try tokens.map(context.communicator) { (image) throws(Failure) in segment(image, seed: context.seed) }
    var outcome = ObjectOutcome(thresholds: thresholds.count)
    for part in try context.communicator.allGather(own.flatMap(\.encoded)) { outcome.add(encoded: part) }
    guard !outcome.scores.isEmpty else {
      throw Failure(
        .badData, "no mask of the split '\(split.rawValue)' holds an object that fills a patch",
        hint: "the class \(background.map { String($0) } ?? "none") is taken for the background: background=CLASS")
    }
    return report(outcome)
  }

  /// All objects of one image.
  private func segment(_ image: ImagePatches, seed: UInt64) -> ObjectOutcome {
    let regions = ObjectRegions(image.mask, unit: unit, background: background)
    let size = image.mask.width
    let labels = PatchLabels(regions.numbers, size: size, grid: image.grid).labels
    let vectors = image.vectors
    var outcome = ObjectOutcome(thresholds: thresholds.count)
    for object in regions.objects {
      guard object.pixels * image.grid * image.grid >= size * size else {
        outcome.tooSmall += 1
        continue
      }
      let patches = labels.indices.filter { labels[$0] == object.number }
      guard !patches.isEmpty else {
        outcome.withoutPatch += 1
        continue
      }
      let prompt = self.prompt(patches, vectors, image, object, seed)
      let map = SimilarityMap(vectors.map { prompt.cosine($0) }, grid: image.grid, size: size, upsampling)
      let filled = SimilarityMap(labels.map { $0 == object.number ? 1 : 0 }, grid: image.grid, size: size, .nearest)
      outcome.scores.append(
        ObjectScore(
          category: Int(object.category), pixels: object.pixels, known: regions.numbers.count { $0 >= 0 },
          ceiling: filled.overlaps(object.number, in: regions.numbers, above: [0.5])[0],
          overlaps: map.overlaps(object.number, in: regions.numbers, above: thresholds)))
    }
    return outcome
  }

  private func prompt(
    _ patches: [Int], _ vectors: [TokenVector], _ image: ImagePatches, _ object: ObjectRegions.Object, _ seed: UInt64
  ) -> TokenVector {
    guard let randomPatches else { return vectors[Self.centre(patches, grid: image.grid)] }
    var stream = RandomStream(
      seed: seed, purpose: .probe, epoch: Int(object.number), index: image.index, view: 1)
    let chosen = stream.permutation(patches.count).prefix(randomPatches)
    return TokenVector(meanOf: chosen.sorted().map { vectors[patches[Int($0)]] })
  }

  /// The patch farthest from every patch that is not among `patches`, the first such in raster order.
  static func centre(_ patches: [Int], grid: Int) -> Int {
    let others = (0..<(grid * grid)).filter { !patches.contains($0) }
    var best = (patch: patches[0], distance: -1)
    for patch in patches {
      let distance =
        others.map { other in
          let (dy, dx) = (other / grid - patch / grid, other % grid - patch % grid)
          return dx * dx + dy * dy
        }
        .min() ?? 0
      if distance > best.distance { best = (patch, distance) }
    }
    return best.patch
  }

  private func report(_ outcome: ObjectOutcome) -> EvaluationReport {
    var report = EvaluationReport()
    report.provenance = .decision
    report.selectedOn = split.rawValue
    report.set("split", .string(split.rawValue))
    report.set("thresholds", .array(thresholds.map { .double($0) }))
    report.set("unit", .string(unit.rawValue))
    report.set("upsample", .string(upsampling.rawValue))
    report.set("background", .int(background.map { Int($0) } ?? -1))
    report.set("prompt", .string(randomPatches.map { "random:\($0)" } ?? "centre"))
    report.add("promptseg.objects", count: outcome.scores.count)
    report.add("promptseg.objects_too_small", count: outcome.tooSmall)
    report.add("promptseg.objects_without_patch", count: outcome.withoutPatch)
    for (t, threshold) in thresholds.enumerated() {
      let found = outcome.scores.map { $0.overlaps[t] }
      report.add("promptseg.T\(threshold).miou", outcome.mean(found))
      report.add("promptseg.T\(threshold).class_miou", outcome.classMean(found))
      report.add("promptseg.T\(threshold).common", count: found.reduce(0) { $0 + $1.common })
      report.add("promptseg.T\(threshold).either", count: found.reduce(0) { $0 + $1.either })
    }
    let means = thresholds.indices.map { t in outcome.mean(outcome.scores.map { $0.overlaps[t] }) }
    let best = means.indices.max { (means[$0], $1) < (means[$1], $0) } ?? 0
    report.add("promptseg.best_T", thresholds[best])
    report.add("promptseg.best.miou", means[best])
    report.add("promptseg.best.class_miou", outcome.classMean(outcome.scores.map { $0.overlaps[best] }))
    report.add(
      "promptseg.oracleT.miou",
      outcome.mean(outcome.scores.map { $0.overlaps.max { $0.share < $1.share } ?? $0.ceiling }))
    report.add("promptseg.ceiling.miou", outcome.mean(outcome.scores.map(\.ceiling)))
    report.add("promptseg.everything.miou", outcome.mean(outcome.scores.map(\.everything)))
    report.headline = [
      "promptseg.best_T", "promptseg.best.miou", "promptseg.everything.miou", "promptseg.ceiling.miou",
    ]
    report.notes.append(
      "ceiling: the object's own patches; everything: all pixels, what patches without likeness score at low T")
    if thresholds.count > 1, best == 0 || best == thresholds.count - 1 {
      report.notes.append(
        "the best T is the \(best == 0 ? "least" : "largest") of thresholds: a better one may lie beyond it")
    }
    if outcome.tooSmall + outcome.withoutPatch > 0 {
      report.notes.append(
        "passed over: \(outcome.tooSmall) objects below a patch, \(outcome.withoutPatch) without a patch of their own")
    }
    return report
  }
}
