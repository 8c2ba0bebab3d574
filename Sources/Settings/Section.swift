import Basics

/// A part of the settings. Reading a key declares it: its type, default, range, unit and meaning.
///
/// Every reader throws bad config, with the place of the value, for a wrong type or a value that is not allowed.
public final class Section {
  /// The dotted path, empty for the whole tree.
  public let path: String
  private let tree: SettingsTree

  init(path: String, of tree: SettingsTree) {
    self.path = path
    self.tree = tree
    tree.declareSection(path)
  }

  /// Whether keys are written below `key`.
  func isSection(_ key: String) -> Bool { tree.isSection(full(key)) }

  /// The stage whose settings these are; nil for those of a whole run.
  var stage: String? { tree.stage }

  /// A section inside this one.
  public func section(_ name: String) -> Section { Section(path: full(name), of: tree) }

  /// A whole number.
  public func int(
    _ key: String, default fallback: Int, in range: some RangeExpression<Int>, unit: String = "", _ meaning: String
  ) throws(Failure) -> Int {
    let kind = Kind<Int>.int(range, unit: unit)
    return try read(key, kind, fallback, meaning)
  }

  /// A whole number or nothing; `absent` is the word that stands for nothing besides `null`.
  public func optionalInt(
    _ key: String, default fallback: Int? = nil, in range: some RangeExpression<Int>, absent: String = "null",
    unit: String = "", _ meaning: String
  ) throws(Failure) -> Int? {
    try read(key, Kind<Int>.int(range, unit: unit).optional(absent), fallback, meaning)
  }

  /// A number.
  public func double(
    _ key: String, default fallback: Double, in range: some RangeExpression<Double>, unit: String = "",
    _ meaning: String
  ) throws(Failure) -> Double {
    try read(key, Kind<Double>.double(range, unit: unit), fallback, meaning)
  }

  /// A number or nothing.
  public func optionalDouble(
    _ key: String, default fallback: Double? = nil, in range: some RangeExpression<Double>, absent: String = "null",
    unit: String = "", _ meaning: String
  ) throws(Failure) -> Double? {
    try read(key, Kind<Double>.double(range, unit: unit).optional(absent), fallback, meaning)
  }

  /// `true` or `false`.
  public func bool(_ key: String, default fallback: Bool, _ meaning: String) throws(Failure) -> Bool {
    try read(key, .bool, fallback, meaning)
  }

  /// Text.
  public func string(_ key: String, default fallback: String, _ meaning: String) throws(Failure) -> String {
    try read(key, .string, fallback, meaning)
  }

  /// Text or nothing.
  public func optionalString(
    _ key: String, default fallback: String? = nil, _ meaning: String
  ) throws(Failure) -> String? {
    try read(key, Kind.string.optional("null"), fallback, meaning)
  }

  /// A data address in which `${NAME}` stands for an environment variable; nil when it is not set.
  ///
  /// - Parameter isData: false for the path of a file of this program.
  public func optionalPath(
    _ key: String, default fallback: String? = nil, isData: Bool = true, _ meaning: String
  ) throws(Failure) -> String? {
    let kind = Kind.path(environment: tree.environment, name: isData ? "a data address" : "a name or a path")
    return try read(key, kind.optional("null"), fallback, meaning)
  }

  /// One of several words.
  public func choice(
    _ key: String, default fallback: String, _ words: [String], _ meaning: String
  ) throws(Failure) -> String {
    try read(key, .choice(words), fallback, meaning)
  }

  /// A list of numbers, of exactly `count` when it is given.
  public func doubles(
    _ key: String, default fallback: [Double], count: Int? = nil, in range: some RangeExpression<Double>,
    unit: String = "", _ meaning: String
  ) throws(Failure) -> [Double] {
    try read(key, Kind<Double>.double(range, unit: unit).list(count: count), fallback, meaning)
  }

  /// A list of exactly `count` numbers, or nothing.
  public func optionalDoubles(
    _ key: String, count: Int, in range: some RangeExpression<Double>, unit: String = "", _ meaning: String
  ) throws(Failure) -> [Double]? {
    try read(key, Kind<Double>.double(range, unit: unit).list(count: count).optional("null"), nil, meaning)
  }

  /// A number for every view of an image; a single one, without brackets, is for all.
  public func perView(
    _ key: String, default fallback: Double, in range: some RangeExpression<Double>, unit: String = "",
    _ meaning: String
  ) throws(Failure) -> PerView {
    let list = Kind<Double>.double(range, unit: unit).list(count: nil)
    let kind = Kind<[Double]>(
      name: "a number for all views, or a list of one a view", allowed: list.allowed, unit: list.unit,
      show: { $0.count == 1 ? .double($0[0]) : list.show($0) }, parse: list.parse)
    return PerView(path: full(key), place: place(of: key), values: try read(key, kind, [fallback], meaning))
  }

  /// A list of at least one whole number; a single one may stand without brackets.
  public func ints(
    _ key: String, default fallback: [Int], in range: some RangeExpression<Int>, unit: String = "", _ meaning: String
  ) throws(Failure) -> [Int] {
    try read(key, Kind<Int>.int(range, unit: unit).list(count: nil), fallback, meaning)
  }

  /// A list of at least one whole number, or nothing.
  public func optionalInts(
    _ key: String, in range: some RangeExpression<Int>, unit: String = "", _ meaning: String
  ) throws(Failure) -> [Int]? {
    try read(key, Kind<Int>.int(range, unit: unit).list(count: nil).optional("null"), nil, meaning)
  }

  /// Two numbers, the first not above the second.
  public func limits(
    _ key: String, default fallback: (Double, Double), in range: some RangeExpression<Double>, unit: String = "",
    _ meaning: String
  ) throws(Failure) -> (Double, Double) {
    let pair = try doubles(key, default: [fallback.0, fallback.1], count: 2, in: range, unit: unit, meaning)
    guard pair[0] <= pair[1] else {
      let found = Declaration.yaml(.array(pair.map(JSON.double)))
      throw failure(key, "'\(full(key))' must be [smallest, largest], found \(found)")
    }
    return (pair[0], pair[1])
  }

  /// A rhythm, `null` for never.
  ///
  /// - Parameter isLength: a length such as the warm-up, which may be 0 or a part of the run, `20%`.
  public func interval(
    _ key: String, default fallback: Interval, isLength: Bool = false, _ meaning: String
  ) throws(Failure) -> Interval {
    try read(key, .interval(isLength: isLength), fallback, meaning)
  }

  /// Several rhythms; one may stand without brackets, `null` is none.
  public func intervals(_ key: String, default fallback: [Interval], _ meaning: String) throws(Failure) -> [Interval] {
    try read(key, Kind.interval(isLength: false).list(count: nil, orNone: true), fallback, meaning)
      .filter { $0 != .never }
  }

  /// A length of time in seconds, or nothing.
  public func optionalSeconds(
    _ key: String, default fallback: Double? = nil, absent: String = "null", _ meaning: String
  ) throws(Failure) -> Double? {
    try read(key, Kind.seconds.optional(absent), fallback, meaning)
  }

  /// A length of time in seconds.
  public func seconds(_ key: String, default fallback: Double, _ meaning: String) throws(Failure) -> Double {
    try read(key, .seconds, fallback, meaning)
  }

  /// A fault of the value of `key`, with the place it was written at.
  public func failure(_ key: String, _ what: String, hint: String? = nil) -> Failure {
    Failure(
      .badConfig, what, at: place(of: key), hint: hint ?? "sslmpi config explain \(tree.spelled(full(key)))")
  }

  private func place(of key: String) -> String { tree.origin(of: full(key)) ?? "the default of \(full(key))" }

  private func full(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

  private func read<Value>(
    _ key: String, _ kind: Kind<Value>, _ fallback: Value, _ meaning: String
  ) throws(Failure) -> Value {
    let leaf = try tree.leaf(full(key))
    func declare(_ value: Value, origin: String?) {
      tree.declare(
        Declaration(
          path: full(key), type: kind.name, fallback: kind.show(fallback), allowed: kind.allowed, unit: kind.unit,
          meaning: meaning, value: kind.show(value), origin: origin))
    }
    guard let leaf else {
      declare(fallback, origin: nil)
      return fallback
    }
    // A key with a wrong value is still a known key.
    declare(fallback, origin: nil)
    let value = try kind.parse(leaf.value, tree.spelled(full(key)), leaf.origin)
    declare(value, origin: leaf.origin)
    return value
  }
}
