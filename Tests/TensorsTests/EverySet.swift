import Tensors
import TestKit
import XCTest

/// Runs a test body on every instruction set of this machine.
func onEverySet(_ body: (InstructionSet) throws -> Void) rethrows {
  let before = InstructionSet.chosen
  defer { InstructionSet.force(before) }
  for set in InstructionSet.available {
    InstructionSet.force(set)
    try body(set)
  }
}

/// Row lengths around the vector width and those of real models.
let oddWidths = [1, 3, 15, 16, 17, 31, 48, 50, 197]

/// Random values in [-scale, scale).
func values(_ count: Int, seed: UInt64, scale: Float = 1) -> [Float] {
  ExactRandom.floats(count, seed: seed).map { $0 * scale }
}

func tensor(_ shape: Shape, seed: UInt64, scale: Float = 1) -> Tensor {
  Tensor(values(shape.count, seed: seed, scale: scale), shape)
}

func erfReference(_ x: Double) -> Double { erf(x) }

/// The rows of a row-major matrix in double.
func rows(_ x: [Float], _ width: Int) -> [[Double]] {
  stride(from: 0, to: x.count, by: width).map { x[$0..<$0 + width].map(Double.init) }
}

func flat(_ rows: [[Double]]) -> [Float] { rows.flatMap { $0.map { Float($0) } } }
