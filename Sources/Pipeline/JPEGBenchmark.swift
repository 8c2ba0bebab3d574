import Basics
import Glibc
import Images

/// How fast one core turns JPEG files into training views: decode, random resized crop, bicubic resize, flip, colours,
/// normalise.
public enum JPEGBenchmark {
  /// What happens to the colours.
  public enum Augment: String, CaseIterable, Sendable {
    /// Nothing.
    case none
    /// What MAE-CT's `aug` does: image i is coloured as view i mod 2. Crops and flips are those of `none`.
    case aug

    /// - Source: spec/mae-ct.md 4.5.
    fileprivate func operations(_ i: Int, seed: UInt64) -> [ColourOperation] {
      guard self == .aug else { return [] }
      let jitter = ColourJitter(brightness: 0.4, contrast: 0.4, saturation: 0.2, hue: 0.1)
      let recipe = ColourRecipe([
        .init(.jitter(jitter), probability: 0.8), .init(.blur(sigma: 0.1...2), probability: i % 2 == 0 ? 1 : 0.1),
        .init(.grey, probability: 0.2), .init(.solarise(threshold: 128), probability: i % 2 == 0 ? 0 : 0.2),
      ])
      var random = RandomStream(seed: seed, purpose: .colour, index: i, view: i % 2)
      return recipe.draw(&random)
    }
  }

  /// What was measured.
  public struct Result: Sendable {
    /// What happened to the colours.
    public let augment: Augment
    /// Images a round.
    public let images: Int
    /// Mean size of the files in bytes.
    public let meanBytes: Double
    /// Images per second of this thread's processor time, median over rounds.
    public let imagesPerCPUSecond: Double
    /// Images per second of wall time, median over rounds.
    public let imagesPerSecond: Double

    /// The result as one JSON object.
    public var json: JSON {
      .object([
        ("augment", .string(augment.rawValue)), ("images", .int(images)), ("mean_bytes", .double(meanBytes)),
        ("images_per_cpu_s", .double(imagesPerCPUSecond)), ("images_per_s", .double(imagesPerSecond)),
      ])
    }
  }

  private static let width = 500
  private static let height = 375
  private static let size = 224

  /// Generates `images` textured 500x375 JPEG files in memory and makes one 224x224 view of each, `rounds` times.
  ///
  /// - Parameters:
  ///   - keepIn: a directory that gets the files, `views.json` (box, flip and colour operations of each) and `views.f32` (the views,
  ///     [images, 3, 224, 224], before mean and deviation), so that another program can do the same work.
  /// - Throws: `Failure` of code 73 or 74 when `keepIn` cannot be written.
  public static func run(
    images: Int = 200, rounds: Int = 5, augment: Augment = .none, seed: UInt64 = 0, keepIn directory: String? = nil
  ) throws(Failure) -> Result {
    precondition(images > 0 && rounds > 0, "JPEGBenchmark: \(images) images, \(rounds) rounds")
    let files = (0..<images).map { file($0, seed: seed) }
    let requests = (0..<images).map { request($0, augment, seed: seed) }
    let maker = ViewMaker()
    var view = [Float](repeating: 0, count: 3 * size * size)
    func pass(mean: [Float], deviation: [Float], _ done: ([Float]) throws(Failure) -> Void) throws(Failure) {
      for (bytes, request) in zip(files, requests) {
        try view.withUnsafeMutableBufferPointer { (buffer) throws(Failure) in
          guard let base = buffer.baseAddress else { return }
          let target = ViewTarget(planes: base, mean: mean, deviation: deviation)
          try maker.make(bytes, into: [target]) { _, _ in [request] }
        }
        try done(view)
      }
    }
    if let directory {
      var all: [Float] = []
      try pass(mean: [0, 0, 0], deviation: [1, 1, 1]) { (view) throws(Failure) in all += view }
      try keep(files, requests, all, in: directory)
    }
    var wall: [Double] = []
    var processor: [Double] = []
    for _ in 0..<rounds {
      let start = (monotonicSeconds(), threadSeconds())
      try pass(mean: imageNetMean, deviation: imageNetStd) { (_) throws(Failure) in }
      wall.append(Double(images) / (monotonicSeconds() - start.0))
      processor.append(Double(images) / (threadSeconds() - start.1))
    }
    let bytes = files.reduce(0) { $0 + $1.count }
    return Result(
      augment: augment, images: images, meanBytes: Double(bytes) / Double(images),
      imagesPerCPUSecond: processor.sorted()[rounds / 2], imagesPerSecond: wall.sorted()[rounds / 2])
  }

  /// Writes the files that `run` makes into a directory: `0.jpg`, `1.jpg`, ...
  ///
  /// - Throws: `Failure` of code 73, 74 or 77.
  public static func write(images: Int, to directory: String, seed: UInt64 = 0) throws(Failure) {
    try makeDirectories(directory)
    for i in 0..<images { try AtomicFile.write(file(i, seed: seed), to: "\(directory)/\(i).jpg") }
  }

  private static func file(_ i: Int, seed: UInt64) -> [UInt8] {
    JPEG.encode(photograph(i, seed: seed), quality: 94, fullColour: false)
  }

  private static func request(_ i: Int, _ augment: Augment, seed: UInt64) -> ViewRequest {
    var crop = RandomStream(seed: seed, purpose: .crop, index: i)
    var flip = RandomStream(seed: seed, purpose: .flip, index: i)
    let box = RandomResizedCrop(scale: 0.2...1, ratio: 0.75...(4.0 / 3)).box(
      width: width, height: height, random: &crop)
    return ViewRequest(
      box: box, size: size, isFlipped: flip.uniform() < 0.5, colour: augment.operations(i, seed: seed))
  }

  /// A picture with the spectrum of a photograph: value noise whose amplitude falls with frequency, cut by edges.
  static func photograph(_ i: Int, seed: UInt64) -> Pixels {
    var random = RandomStream(seed: seed, purpose: .synthetic, index: i)
    var values = [Float](repeating: 128, count: 3 * width * height)  // [height, width, 3]
    values.withUnsafeMutableBufferPointer { values in
      for octave in 0..<7 {
        addNoise(cells: 3 << octave, weight: octave < 4 ? 60 / Float(1 << octave) : 12, to: values, &random)
      }
      for _ in 0..<6 { addDisk(to: values, &random) }
    }
    return Pixels(width: width, height: height, bytes: values.map { UInt8(min(max($0, 0), 255)) })
  }

  /// Adds values on a grid with `cells` cells across, interpolated to every pixel: alike in all channels, and half
  /// as much of its own in each.
  private static func addNoise(
    cells: Int, weight: Float, to values: UnsafeMutableBufferPointer<Float>, _ random: inout RandomStream
  ) {
    let columns = cells + 2
    var grid = [SIMD4<Float>](repeating: .zero, count: columns * columns)
    for k in grid.indices {
      let shared = Float(random.uniform(-1..<1))
      for c in 0..<3 { grid[k][c] = weight * (shared + 0.5 * Float(random.uniform(-1..<1))) }
    }
    for y in 0..<height {
      let row = y * cells / width
      let b = Float(y * cells - row * width) / Float(width)
      for x in 0..<width {
        let column = x * cells / width
        let a = Float(x * cells - column * width) / Float(width)
        let k = row * columns + column
        let above = grid[k] * (1 - a) + grid[k + 1] * a
        let below = grid[k + columns] * (1 - a) + grid[k + columns + 1] * a
        let value = above * (1 - b) + below * b
        for c in 0..<3 { values[3 * (y * width + x) + c] += value[c] }
      }
    }
  }

  private static func addDisk(to values: UnsafeMutableBufferPointer<Float>, _ random: inout RandomStream) {
    let tone = (0..<3).map { _ in Float(random.uniform(-60..<60)) }
    let (x0, y0) = (random.integer(below: width), random.integer(below: height))
    let radius = 20 + random.integer(below: 100)
    for y in max(0, y0 - radius)..<min(height, y0 + radius) {
      for x in max(0, x0 - radius)..<min(width, x0 + radius)
      where (x - x0) * (x - x0) + (y - y0) * (y - y0) < radius * radius {
        for c in 0..<3 { values[3 * (y * width + x) + c] += tone[c] }
      }
    }
  }

  private static func keep(
    _ files: [[UInt8]], _ requests: [ViewRequest], _ views: [Float], in directory: String
  ) throws(Failure) {
    try makeDirectories(directory)
    var entries: [JSON] = []
    for (i, (bytes, request)) in zip(files, requests).enumerated() {
      let name = "\(i).jpg"
      try AtomicFile.write(bytes, to: "\(directory)/\(name)")
      let box = request.box
      entries.append(
        .object([
          ("file", .string(name)), ("left", .int(box.left)), ("top", .int(box.top)), ("width", .int(box.width)),
          ("height", .int(box.height)), ("flip", .bool(request.isFlipped)),
          ("colour", .array(request.colour.map(record))),
        ]))
    }
    try AtomicFile.write(JSON.array(entries).line + "\n", to: "\(directory)/views.json")
    try AtomicFile.write(views.withUnsafeBytes { Array($0) }, to: "\(directory)/views.f32")
  }

  /// An operation as [name, number].
  private static func record(_ operation: ColourOperation) -> JSON {
    switch operation {
    case .brightness(let factor): return .array([.string("brightness"), .double(factor)])
    case .contrast(let factor): return .array([.string("contrast"), .double(factor)])
    case .saturation(let factor): return .array([.string("saturation"), .double(factor)])
    case .hue(let turn): return .array([.string("hue"), .double(turn)])
    case .grey: return .array([.string("grey"), .int(0)])
    case .solarise(let threshold): return .array([.string("solarise"), .int(threshold)])
    case .blur(let sigma): return .array([.string("blur"), .double(sigma)])
    }
  }

  private static func threadSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }
}
