/// Bytes that grow and stay, with room behind them for vector loops that read past the last pixel.
final class ByteBuffer {
  private(set) var pointer = UnsafeMutablePointer<UInt8>.allocate(capacity: 0)
  private var capacity = 0
  private static let slack = 64

  var buffer: UnsafeMutableBufferPointer<UInt8> { UnsafeMutableBufferPointer(start: pointer, count: capacity) }

  func reserve(_ count: Int) {
    guard count > capacity else { return }
    pointer.deallocate()
    capacity = count + count / 4
    pointer = .allocate(capacity: capacity + Self.slack)
    pointer.initialize(repeating: 0, count: capacity + Self.slack)
  }

  deinit { pointer.deallocate() }
}
