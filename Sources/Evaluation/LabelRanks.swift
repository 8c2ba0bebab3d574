import Tensors

/// The place of the right class among the scores of a row: 0 is the best. Of equal scores the lower class comes first; a
/// score that is not a number comes last.
///
/// - Shapes: scores [R, C], labels [R] -> R places in 0 ..< C
func labelRanks(_ scores: Tensor, _ labels: ArraySlice<Int32>) -> [Int32] {
  let classes = scores.shape.lastAxis
  precondition(labels.count == scores.shape.leading, "labelRanks: scores \(scores.shape), \(labels.count) labels")
  let (base, first) = (scores.pointer, labels.startIndex)
  return [Int32](unsafeUninitializedCapacity: labels.count) { places, count in
    guard let target = places.baseAddress else { return }
    Team.split(labels.count, grain: 16) { rows in
      for row in rows { (target + row).initialize(to: place(base + row * classes, classes, labels[first + row])) }
    }
    count = labels.count
  }
}

private func place(_ scores: UnsafePointer<Float>, _ classes: Int, _ label: Int32) -> Int32 {
  let own = scores[Int(label)]
  guard own == own else { return Int32(classes - 1) }
  var better: Int32 = 0
  for c in 0..<Int(label) { better &+= scores[c] >= own ? 1 : 0 }
  for c in Int(label) + 1..<classes { better &+= scores[c] > own ? 1 : 0 }
  return better
}
