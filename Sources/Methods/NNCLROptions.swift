import Basics
import Parallelism
import Settings

/// The sections `nnclr:` and `queue:`.
struct NNCLROptions {
  let queueSize: Int
  let placement: QueuePlacement
  let findsNeighbours: Bool
  let topK: Int
  let temperature: Double
  let targetMomentum: Double?
  let projectorHidden: Int
  let predictorHidden: Int
  let outputs: Int

  /// - Parameters:
  ///   - topK, targetMomentum: what holds when the settings say nothing.
  /// - Throws: bad config for values that do not fit together.
  init(_ context: MethodContext, topK fallback: Int, targetMomentum slow: Double?) throws(Failure) {
    let section = context.section("nnclr")
    queueSize = try section.int("queue_size", default: 65536, in: 1...1 << 30, unit: "vectors", "slots of the queue")
    findsNeighbours = try section.bool(
      "lookup", default: true, "positives are neighbours from the queue; false takes the other view itself")
    topK = try section.int(
      "top_k", default: fallback, in: 1...4096, "candidates among which an image's neighbour is drawn")
    temperature = try section.double("temperature", default: 0.15, in: 0.001...100, "divides the similarities")
    targetMomentum = try section.optionalDouble(
      "target_ema", default: slow, in: 0.0...1, "momentum of the slow projector that finds neighbours; null for none")
    projectorHidden = try section.int("proj_hidden", default: 2048, in: 1...65536, "hidden width of the projector")
    predictorHidden = try section.int("pred_hidden", default: 4096, in: 1...65536, "hidden width of the predictor")
    outputs = try section.int("out_dim", default: 256, in: 1...65536, "width of the head's output")
    let places = QueuePlacement.allCases.map(\.rawValue)
    let chosen = try context.section("queue").choice(
      "placement", default: QueuePlacement.node.rawValue, places,
      "node: one copy of the queue in the memory of each node; global: a part on each rank; replicated: a copy on each")
    placement = QueuePlacement(rawValue: chosen) ?? .node
    guard topK <= queueSize else {
      throw section.failure(
        "top_k", "nnclr.top_k is \(topK), but the queue has only \(queueSize) slots",
        hint: "make nnclr.top_k smaller or nnclr.queue_size larger; the paper uses 20 of 65536")
    }
  }

  /// What the user should know before a run over `images` images.
  func warnings(images: Int) -> [String] {
    guard findsNeighbours, queueSize > images / 4 else { return [] }
    let advice = max(images / 4, 1)
    let size =
      queueSize > images
      ? "the queue of \(queueSize) vectors is larger than the data set of \(images) images"
      : "the queue of \(queueSize) vectors holds more than a quarter of the \(images) images"
    return [
      "\(size): most neighbours will be old vectors of few images; set nnclr.queue_size to at most \(advice), and "
        + "nnclr.target_ema and ema.encoder so that they forget as fast in epochs"
    ]
  }
}
