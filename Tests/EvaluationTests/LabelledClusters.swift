import Basics
import Evaluation
import Features
import Messaging
import Settings
import TestKit
import Tensors
import XCTest

/// Rows around one centre a class, whole on every rank.
struct LabelledClusters {
  let rows: Tensor
  let labels: [Int32]

  /// - Parameters:
  ///   - spread: the size of the noise beside that of the centres; nil for rows that say nothing about the class.
  ///   - seed: of the noise; the centres are always the same.
  init(_ count: Int, width: Int, classes: Int, spread: Float?, seed: UInt64) {
    let centres = ExactRandom.floats(classes * width, seed: 99)
    let noise = ExactRandom.floats(count * width, seed: seed)
    labels = (0..<count).map { Int32($0 % classes) }
    var values = noise
    if let spread {
      for i in values.indices { values[i] = centres[Int(labels[i / width]) * width + i % width] + spread * noise[i] }
    }
    rows = Tensor(values, [count, width])
  }

  /// One-hot labels with a little noise.
  init(oracle count: Int, classes: Int, seed: UInt64) {
    labels = (0..<count).map { Int32($0 % classes) }
    var values = ExactRandom.floats(count * classes, seed: seed).map { $0 * 1e-3 }
    for i in 0..<count { values[i * classes + Int(labels[i])] += 1 }
    rows = Tensor(values, [count, classes])
  }

  /// This rank's part.
  func dealt(_ communicator: Communicator) -> FeatureSet { FeatureSet(dealing: rows, labels: labels, to: communicator) }
}

/// A context of two sets that every rank has whole.
func context(_ train: LabelledClusters, _ val: LabelledClusters, seed: UInt64 = 0) throws -> EvaluationContext {
  let communicator = try sharedCommunicator()
  return EvaluationContext(
    [.train: train.dealt(communicator), .val: val.dealt(communicator)], seed: seed, communicator: communicator)
}

/// A protocol with parameters as the command line gives them, unknown ones refused.
func evaluator<Protocol: Evaluator>(
  _ type: Protocol.Type, _ yaml: String = "", isTiny: Bool = false
) throws -> Protocol {
  let tree = try SettingsTree.parse(yaml, named: "test")
  let result = try Protocol(tree.section(""), isTiny: isTiny)
  try tree.finish()
  return result
}

/// Fails unless `body` throws a failure of `code` whose text has all the words.
func expectFailure(
  _ code: ExitCode, _ words: String..., file: StaticString = #filePath, line: UInt = #line, _ body: () throws -> Void
) {
  do {
    try body()
    XCTFail("nothing was thrown", file: file, line: line)
  } catch let failure as Failure {
    XCTAssertEqual(failure.code, code, failure.description, file: file, line: line)
    for word in words {
      XCTAssertTrue(failure.description.contains(word), "no '\(word)' in: \(failure)", file: file, line: line)
    }
  } catch {
    XCTFail("not a Failure: \(error)", file: file, line: line)
  }
}
