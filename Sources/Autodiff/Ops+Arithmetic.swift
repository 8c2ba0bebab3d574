import Basics
import Tensors

/// The sum of two values of the same shape.
///
/// - Gradient: to both.
public func add(_ a: Variable, _ b: Variable) -> Variable {
  precondition(a.shape == b.shape, "add: \(a.shape) + \(b.shape)")
  let y = Tensor(uninitialized: a.shape)
  OpClock.measure(.elementwise, work: 3 * y.count) { Kernels.add(a.value, b.value, into: y) }
  return record(y, from: [a, b], as: .elementwise) { dy in [dy, dy] }
}

/// The value times a constant.
///
/// - Gradient: to the value.
public func scale(_ a: Variable, by factor: Float) -> Variable {
  let y = Tensor(uninitialized: a.shape)
  OpClock.measure(.elementwise, work: 2 * y.count) { Kernels.scale(a.value, by: factor, into: y) }
  return record(y, from: [a], as: .elementwise) { dy in
    OpClock.count(.elementwise, work: 2 * dy.count)
    let da = Tensor(uninitialized: dy.shape)
    Kernels.scale(dy, by: factor, into: da)
    return [da]
  }
}

/// The mean of all elements, summed in double.
///
/// - Shapes: any -> scalar
public func mean(_ a: Variable) -> Variable {
  let (shape, count) = (a.shape, a.shape.count)
  let sum = OpClock.measure(.elementwise, work: count) { Kernels.sum(a.value.pointer, count: count) }
  return record(scalar(sum / Double(count)), from: [a], as: .elementwise) { dy in
    OpClock.count(.elementwise, work: count)
    return [Tensor(repeating: dy.item / Float(count), shape)]
  }
}

/// A parameter as a value, for operations that take none by themselves.
///
/// - Gradient: added to the parameter's.
public func variable(_ parameter: Parameter) -> Variable {
  record(parameter.value, from: [], using: [parameter], as: .elementwise) { dy in
    OpClock.count(.elementwise, work: 3 * dy.count)
    Kernels.add(dy.pointer, into: parameter.gradient.pointer, count: dy.count)
    return []
  }
}

/// A view of the same value under another shape.
public func reshape(_ a: Variable, _ shape: Shape) -> Variable {
  let before = a.shape
  return record(a.value.reshaped(shape), from: [a], as: .elementwise) { dy in [dy.reshaped(before)] }
}

/// A scalar tensor.
func scalar(_ value: Double) -> Tensor { Tensor([Float(value)], []) }
