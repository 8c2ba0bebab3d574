/// The candidate most like `name`, or nil when none is similar.
///
/// Compares by edit distance, without regard to case, hyphens and underscores. Of dotted paths, one that differs in
/// its section only is as near as one slip of the finger, and an abbreviation within its section as near as two.
public func nearestName(to name: String, among candidates: [String]) -> String? {
  let wanted = normalized(name)
  let part = lastPart(wanted)
  var best: (candidate: String, distance: Int)?
  for candidate in candidates {
    let other = normalized(candidate)
    let otherPart = lastPart(other)
    let isSameSection = wanted.dropLast(part.count) == other.dropLast(otherPart.count)
    var distance = editDistance(wanted, other)
    if part == otherPart { distance = min(distance, 1) }
    if isSameSection, isAbbreviation(part, of: otherPart) { distance = min(distance, 2) }
    let limit = max(2, (isSameSection ? part.count : wanted.count) / 3)
    if distance <= limit, distance < best?.distance ?? .max { best = (candidate, distance) }
  }
  return best?.candidate
}

/// Whether `long` begins like `short` and holds its letters in their order: `bse` and `base_lr`.
private func isAbbreviation(_ short: ArraySlice<UInt8>, of long: ArraySlice<UInt8>) -> Bool {
  guard short.count >= 2, short.first == long.first else { return false }
  var rest = short
  for letter in long where letter == rest.first { rest = rest.dropFirst() }
  return rest.isEmpty
}

/// Insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b`.
func editDistance(_ a: [UInt8], _ b: [UInt8]) -> Int {
  var before: [Int] = []
  var previous = Array(0...b.count)
  for (i, x) in a.enumerated() {
    var current = [i + 1]
    for (j, y) in b.enumerated() {
      var cost = min(previous[j] + (x == y ? 0 : 1), previous[j + 1] + 1, current[j] + 1)
      if i > 0, j > 0, x == b[j - 1], a[i - 1] == y { cost = min(cost, before[j - 1] + 1) }
      current.append(cost)
    }
    (before, previous) = (previous, current)
  }
  return previous[b.count]
}

private func normalized(_ name: String) -> [UInt8] {
  name.lowercased().utf8.map { $0 == UInt8(ascii: "-") ? UInt8(ascii: "_") : $0 }
}

private func lastPart(_ name: [UInt8]) -> ArraySlice<UInt8> {
  name[(name.lastIndex(of: UInt8(ascii: ".")).map { $0 + 1 } ?? 0)...]
}
