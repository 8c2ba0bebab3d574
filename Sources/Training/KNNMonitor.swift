import Basics
import Features
import Messaging
import Pipeline
import Settings
import Tensors

/// What the monitor saw of one encoder.
struct KNNReport {
  /// Share of queries whose vote is right, in percent, for every k.
  let top1: [(k: Int, percent: Double)]
  /// Share of the neighbours (largest k) that carry the query's label, in percent.
  let purity: Double
  let health: FeatureHealth

  /// The accuracy at the first k, the one that is quoted.
  var headline: Double { top1.first?.percent ?? 0 }
}

/// Online k-NN over labelled images. It watches: it draws nothing, updates nothing, and the run is the same without it.
///
/// - Source: `spec/evaluation.md` E1, "In the trainer".
final class KNNMonitor {
  private let bank: ProbeImages
  private let queries: ProbeImages
  private let settings: KNNSettings
  private let communicator: Communicator
  private let probe: FeatureProbe

  /// A monitor for these sources, or nil when they carry no labels.
  ///
  /// Without a validation source every fifth image of a class becomes a query and the others the bank.
  init?(
    train: DataSource, validation: DataSource?, view: ViewSpec, settings: KNNSettings, communicator: Communicator
  ) {
    guard train.classNames.count > 1, validation.map({ $0.classNames.count > 1 }) ?? true else { return nil }
    let classes = KNNMonitor.byClass(train)
    if let validation {
      bank = ProbeImages(train, KNNMonitor.stratified(classes, limit: settings.bank))
      queries = ProbeImages(
        validation, KNNMonitor.stratified(KNNMonitor.byClass(validation), limit: settings.queries))
    } else {
      let held = classes.map { list in list.enumerated().filter { $0.offset % 5 == 4 }.map(\.element) }
      let kept = classes.map { list in list.enumerated().filter { $0.offset % 5 != 4 }.map(\.element) }
      bank = ProbeImages(train, KNNMonitor.stratified(kept, limit: settings.bank))
      queries = ProbeImages(train, KNNMonitor.stratified(held, limit: settings.queries))
    }
    guard !bank.indices.isEmpty, !queries.indices.isEmpty else { return nil }
    self.settings = settings
    self.communicator = communicator
    probe = FeatureProbe(view: view, communicator: communicator)
  }

  /// Measures an encoder.
  ///
  /// - Parameter encode: [b, C, S, S] -> [b, D], without gradient.
  /// - Collective: all ranks.
  func measure(_ encode: (Tensor) -> Tensor) throws -> KNNReport {
    let (bankFeatures, width) = try probe.features(of: bank, encode)
    let (queryFeatures, _) = try probe.features(of: queries, encode)
    func dealt(_ features: [Float], _ images: ProbeImages) -> FeatureSet {
      FeatureSet(
        dealing: Tensor(features, [images.indices.count, width]), labels: images.labels, to: communicator)
    }
    var (known, asked) = (dealt(bankFeatures, bank), dealt(queryFeatures, queries))
    if settings.standardise {
      let scaling = try Standardisation(known, communicator)
      (known, asked) = (known.standardised(by: scaling), asked.standardised(by: scaling))
    }
    let largest = settings.k.max() ?? 1
    let neighbours = try ShardedSearch(bank: known.normalised(), communicator: communicator)
      .nearest(asked.normalised(), k: largest)
    let vote = Vote(temperature: settings.temperature)
    let counts = try communicator.allReduceSum(
      settings.k.map { Int64(vote.hits(neighbours, asked.ownLabels, k: $0).top1) }
        + [Int64(Vote.matching(neighbours, asked.ownLabels, k: largest))])
    let total = Double(queries.indices.count)
    return KNNReport(
      top1: zip(settings.k, counts).map { ($0, 100 * Double($1) / total) },
      purity: 100 * Double(counts[settings.k.count]) / (total * Double(min(largest, bank.labels.count))),
      health: FeatureHealth(features: queryFeatures, width: width))
  }

  /// The same measurement on the pixels themselves: what a method has to beat.
  ///
  /// - Collective: all ranks.
  func measureRawPixels() throws -> KNNReport {
    try measure { images in images.reshaped([images.shape[0], images.count / images.shape[0]]) }
  }

  private static func byClass(_ source: DataSource) -> [[Int]] {
    var lists = [[Int]](repeating: [], count: source.classNames.count)
    for index in 0..<source.count where source.label(index) >= 0 { lists[Int(source.label(index))].append(index) }
    return lists
  }

  /// At most `limit` images, taken from the classes in turn, in ascending order.
  private static func stratified(_ classes: [[Int]], limit: Int) -> [Int] {
    var chosen: [Int] = []
    let longest = classes.map(\.count).max() ?? 0
    for position in 0..<longest {
      for list in classes where position < list.count && chosen.count < limit { chosen.append(list[position]) }
    }
    return chosen.sorted()
  }
}
