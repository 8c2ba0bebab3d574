import Basics

/// How values of one type are read, checked and written back.
struct Kind<Value> {
  /// For example `a whole number`.
  let name: String
  let allowed: String
  let unit: String
  let show: (Value) -> JSON
  /// The value of a raw one; the path and the place are for messages.
  let parse: (RawValue, _ path: String, _ place: String) throws(Failure) -> Value

  /// This kind or nothing, written as `null` or as another word.
  func optional(_ word: String) -> Kind<Value?> {
    Kind<Value?>(
      name: "\(name) or \(word)", allowed: allowed, unit: unit,
      show: { value in value.map(show) ?? (word == "null" ? .null : .string(word)) },
      parse: { (raw, path, place) throws(Failure) in
        if raw.isNull || raw == .scalar(word, quoted: false) { return nil }
        return try parse(raw, path, place)
      })
  }

  /// A list of this kind.
  func list(count: Int?, orNone: Bool = false) -> Kind<[Value]> {
    Kind<[Value]>(
      name: "a list of " + (count.map { "\($0) values, each " } ?? "") + name, allowed: allowed, unit: unit,
      show: { values in values.isEmpty ? .null : .array(values.map(show)) },
      parse: { (raw, path, place) throws(Failure) in
        var values: [Value] = []
        switch raw {
        case .list(let texts):
          for text in texts { values.append(try parse(.scalar(text, quoted: false), path, place)) }
        case .scalar:
          if raw.isNull && orNone { return [] }
          values = [try parse(raw, path, place)]
        }
        guard count.map({ values.count == $0 }) ?? (orNone || !values.isEmpty) else {
          let expected = count.map { "a list of \($0)" } ?? "a list of at least one"
          throw .wrongType(path, expected: "\(expected): \(name)", found: raw, at: place)
        }
        return values
      })
  }
}

extension Kind {
  /// A kind that plain text is turned into, checked by `read`; in quotes as well if it is shown as a text.
  private static func plain(
    _ name: String, allowed: String = "", unit: String = "", inQuotes: Bool = false,
    show: @escaping (Value) -> JSON, read: @escaping (String) -> Value?
  ) -> Kind {
    Kind(
      name: name, allowed: allowed, unit: unit, show: show,
      parse: { (raw, path, place) throws(Failure) in
        guard case .scalar(let text, let isQuoted) = raw, inQuotes || !isQuoted, let value = read(text) else {
          throw .wrongType(path, expected: name, found: raw, at: place)
        }
        return value
      })
  }

  /// The same kind with a range; the message of a value outside names it and the unit.
  private func within(_ range: some RangeExpression<Value>, unit: String) -> Kind where Value: Comparable {
    let words = Kind.words(range)
    return Kind(
      name: name, allowed: words, unit: unit, show: show,
      parse: { (raw, path, place) throws(Failure) in
        let value = try parse(raw, path, place)
        guard range.contains(value) else {
          throw .outOfRange(path, value: raw.text, allowed: words, unit: unit, at: place)
        }
        return value
      })
  }
}

extension Kind where Value: Comparable {
  /// A range as people write it.
  fileprivate static func words(_ range: some RangeExpression<Value>) -> String {
    func text(_ value: Value) -> String { (value as? Double).map(Settings.plain) ?? "\(value)" }
    switch range {
    case let range as ClosedRange<Value>: return "\(text(range.lowerBound)) ... \(text(range.upperBound))"
    case let range as Range<Value>: return "\(text(range.lowerBound)) ... below \(text(range.upperBound))"
    case let range as PartialRangeFrom<Value>: return "\(text(range.lowerBound)) or more"
    default: return "\(range)"
    }
  }
}

extension Kind<Int> {
  static func int(_ range: some RangeExpression<Int>, unit: String) -> Kind {
    Kind.plain("a whole number", show: JSON.int) { text in
      // 1e6 is a whole number too.
      Int(text) ?? finite(text).flatMap(Int.init(exactly:))
    }.within(range, unit: unit)
  }
}

extension Kind<Double> {
  static func double(_ range: some RangeExpression<Double>, unit: String) -> Kind {
    Kind.plain("a number", show: JSON.double, read: finite).within(range, unit: unit)
  }

  static var seconds: Kind {
    Kind.plain(
      "a time such as 90 s, 10 min, 2 h or 23:45:00", unit: "seconds", inQuotes: true,
      show: { .string("\(Settings.plain($0)) s") }, read: durationInSeconds)
  }
}

extension Kind<Bool> {
  static var bool: Kind {
    Kind.plain("true or false", show: JSON.bool) { ["true": true, "false": false][$0] }
  }
}

extension Kind<Interval> {
  static func interval(isLength: Bool) -> Kind {
    let words =
      "a number with its unit: 100 steps, 1 epoch, 30 min, 65536 images" + (isLength ? ", 20%" : "; null is never")
    return Kind(
      name: words, allowed: "", unit: "", show: { $0 == .never ? .null : .string($0.text) },
      parse: { (raw, path, place) throws(Failure) in
        if raw.isNull && !isLength { return .never }
        guard case .scalar(let text, quoted: _) = raw, let interval = Interval(text) else {
          throw .wrongType(path, expected: words, found: raw, at: place)
        }
        if !isLength, case .percent = interval {
          throw Failure(.badConfig, "'\(path)' cannot be a part of the run", at: place, hint: "write \(words)")
        }
        if isLength, case .minutes = interval {
          throw Failure(
            .badConfig, "'\(path)' cannot be a time: the learning rate would depend on the machine", at: place,
            hint: "write 100 steps, 20 epochs or 20%")
        }
        guard isLength || !interval.isZero else {
          throw Failure(.badConfig, "'\(path)' cannot be every \(text)", at: place, hint: "write null for never")
        }
        return interval
      })
  }
}

extension Kind<String> {
  static var string: Kind {
    Kind(
      name: "text", allowed: "", unit: "", show: JSON.string,
      parse: { (raw, path, place) throws(Failure) in
        guard case .scalar(let text, quoted: _) = raw, !raw.isNull else {
          throw .wrongType(path, expected: "text", found: raw, at: place)
        }
        return text
      })
  }

  static func choice(_ words: [String]) -> Kind {
    let list = words.joined(separator: ", ")
    return Kind(
      name: "a word", allowed: list, unit: "", show: JSON.string,
      parse: { (raw, path, place) throws(Failure) in
        let text = try Kind.string.parse(raw, path, place)
        guard words.contains(text) else {
          let nearest = nearestName(to: text, among: words).map { "did you mean \($0)?" }
          throw Failure(.badConfig, "'\(path)' is '\(text)', allowed: \(list)", at: place, hint: nearest)
        }
        return text
      })
  }

  static func path(environment: [String: String], name: String) -> Kind {
    Kind(
      name: name, allowed: "", unit: "", show: JSON.string,
      parse: { (raw, path, place) throws(Failure) in
        var rest = try Kind.string.parse(raw, path, place)[...]
        var result = ""
        while let start = rest.range(of: "${"), let end = rest[start.upperBound...].firstIndex(of: "}") {
          let name = String(rest[start.upperBound..<end])
          guard let value = environment[name], !value.isEmpty else {
            throw Failure(
              .badConfig, "'\(path)' uses ${\(name)}, and this environment variable is not set", at: place,
              hint: "export \(name)=..., or give another address: \(path)=DIR")
          }
          result += rest[..<start.lowerBound] + value
          rest = rest[rest.index(after: end)...]
        }
        return result + rest
      })
  }
}

/// A finite number in decimal spelling.
private func finite(_ text: String) -> Double? {
  guard let value = Double(text), value.isFinite, !text.lowercased().contains("x") else { return nil }
  return value
}
