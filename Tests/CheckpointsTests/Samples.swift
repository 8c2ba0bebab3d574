import Basics
import Checkpoints
import Foundation
import Messaging
import Storage
import TestKit
import XCTest

/// Tests that all ranks run in one order, on files that are removed after each test.
class CollectiveTestCase: XCTestCase {
  private var folders: [String] = []

  /// The world of the test process.
  func sharedCommunicator() throws -> Communicator { try World.start().communicator }

  /// A fresh directory that all ranks see.
  func sharedDirectory(_ communicator: Communicator) throws -> String {
    try communicator.broadcast(communicator.rank == 0 ? ownDirectory() : "")
  }

  /// A fresh directory of this rank.
  func ownDirectory() -> String {
    let path = temporaryDirectory("checkpoints")
    folders.append(path)
    return path
  }

  override func tearDownWithError() throws {
    // No rank removes what another still reads.
    try sharedCommunicator().barrier()
    for path in folders { try FileManager.default.removeItem(atPath: path) }
  }
}

/// The failure that `body` throws; fails the test when it throws another error or none.
func failure(file: StaticString = #filePath, line: UInt = #line, _ body: () throws -> Void) -> Failure? {
  do {
    try body()
    XCTFail("nothing was thrown", file: file, line: line)
  } catch let error as Failure { return error } catch { XCTFail("\(error)", file: file, line: line) }
  return nil
}

/// All bytes of a file.
func contents(_ path: String) -> [UInt8] { FileManager.default.contents(atPath: path).map { Array($0) } ?? [] }

/// Tensors that own their memory.
final class Samples {
  let tensors: [NamedTensor]
  private let buffers: [UnsafeMutableRawBufferPointer]

  /// Every element kind, a scalar, an empty tensor, and, when `large`, some that have more than one chunk.
  init(seed: UInt64, large: Bool = true) {
    var shapes: [(String, [Int], ElementKind)] = [
      ("student/blocks.0.attn.qkv.weight", [7, 5], .float32), ("student/cls_token", [1, 1, 5], .float32),
      ("optimizer/updates", [], .int64), ("method/queue/ids", [9], .int64), ("method/none", [0, 4], .float32),
      ("method/centre", [3], .float64), ("method/picks", [2, 2], .int32),
    ]
    if large {
      shapes.append(("student/head.weight", [1300, 1100], .float32))
      shapes.append(("teacher/odd", [3, 500_001], .float32))
      shapes.append(("teacher/blocks.0.norm.bias", [5], .float32))
      // So that each of four ranks has a share.
      for index in 0..<6 { shapes.append(("optimizer/m/\(index)", [512, 512], .float32)) }
    }
    // A short random pattern, repeated with a different first number each time: debug builds fill slowly.
    let pattern = ExactRandom.floats(4099, seed: seed)
    var buffers: [UnsafeMutableRawBufferPointer] = []
    tensors = shapes.map { name, shape, kind in
      let bytes = shape.reduce(kind.bytes, *)
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: max(bytes, 8), alignment: 64)
      pattern.withUnsafeBytes { source in
        for start in stride(from: 0, to: bytes, by: source.count) {
          let count = min(source.count, bytes - start)
          UnsafeMutableRawBufferPointer(rebasing: buffer[start..<start + count])
            .copyBytes(from: UnsafeRawBufferPointer(rebasing: source[..<count]))
          buffer.storeBytes(of: UInt32(start + buffers.count), toByteOffset: start, as: UInt32.self)
        }
      }
      buffers.append(buffer)
      return NamedTensor(name: name, shape: shape, payload: Samples.payload(kind, buffer))
    }
    self.buffers = buffers
  }

  deinit { for buffer in buffers { buffer.deallocate() } }

  private static func payload(_ kind: ElementKind, _ buffer: UnsafeMutableRawBufferPointer) -> NamedTensor.Payload {
    guard let base = buffer.baseAddress else { preconditionFailure("no memory") }
    switch kind {
    case .float32: return .float32(base.assumingMemoryBound(to: Float.self))
    case .float64: return .float64(base.assumingMemoryBound(to: Double.self))
    case .int32: return .int32(base.assumingMemoryBound(to: Int32.self))
    case .int64: return .int64(base.assumingMemoryBound(to: Int64.self))
    case .uint8: preconditionFailure("no tensor of bytes")
    }
  }

  /// The bytes of each tensor.
  var bytes: [[UInt8]] { zip(tensors, buffers).map { Array($1[..<$0.bytes]) } }

  /// Makes all numbers 0.
  func clear() { for buffer in buffers { buffer.initializeMemory(as: UInt8.self, repeating: 0) } }
}

/// A header for tests.
func sampleHeader(step: Int, worldSize: Int = 1) -> CheckpointHeader {
  CheckpointHeader(
    step: step, epoch: Double(step) / 8, imagesSeen: step * 64, seed: UInt64.max - 3, globalBatch: 64,
    config: "{\"name\": \"test \u{e4}\"}", configHash: "0123abcd", worldSize: worldSize, method: "mae",
    stage: "pretrain", model: "vit_tiny_patch16_224", versions: [("sslmpi", "0.1"), ("hdf5", "1.10")],
    extra: [("data", "images")])
}
