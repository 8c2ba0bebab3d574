import CKernels

/// A right operand [k, n] of the native product, packed as a whole: any number of threads may then multiply rows by it.
struct PackedOperand {
  private let source: PanelProduct.Operand
  private let cut: PanelProduct.Cut
  private let memory: Tensor
  private let panelColumns = Kernels.table.pointee.panel_columns

  /// Memory for the panels; `pack` fills it.
  init(_ source: PanelProduct.Operand, n: Int, k: Int) {
    self.source = source
    cut = PanelProduct.Cut(n: n, k: k, longest: 512)
    memory = Tensor(uninitialized: [n.roundedUp(to: panelColumns) * k])
  }

  /// Panels of the whole operand.
  var panels: Int { (cut.n + panelColumns - 1) / panelColumns }
  /// Parts that can be packed in any order.
  var pieces: Int { panels * cut.steps }

  /// Packs some parts.
  func pack(_ pieces: Range<Int>) {
    for piece in pieces {
      let first = piece % panels * panelColumns
      let columns = first..<min(first + panelColumns, cut.n)
      let inner = cut.inner(ofStep: piece / panels)
      PanelProduct.pack(source, columns: columns, inner: inner, into: place(first, inner))
    }
  }

  /// Rows of c = a b, or c += a b, or c = a b + row, in the columns of some panels, on the calling thread.
  ///
  /// - Shapes: a [.., k] as stored, row [n] -> c [.., n]
  func multiply(
    _ a: PanelProduct.Operand, rows: Range<Int>, panels: Range<Int>? = nil, into c: UnsafeMutablePointer<Float>,
    stride: Int, accumulate: Bool, row: UnsafePointer<Float>? = nil
  ) {
    let wanted = (panels ?? 0..<self.panels).clamped(to: 0..<self.panels)
    let range = wanted.lowerBound * panelColumns..<min(wanted.upperBound * panelColumns, cut.n)
    let scratch = Tensor(uninitialized: [Kernels.table.pointee.panel_rows * (cut.inner + 16)])
    for block in 0..<cut.columnBlocks {
      let columns = cut.columns(ofBlock: block).clamped(to: range)
      if columns.isEmpty { continue }
      for step in 0..<cut.steps {
        let inner = cut.inner(ofStep: step)
        let slab = PanelProduct.Slab(
          panels: place(columns.lowerBound, inner), columns: columns, inner: inner,
          accumulate: accumulate || step > 0, row: step == 0 ? row : nil)
        slab.multiply(a, rows: rows, scratch: scratch.pointer, into: c, stride: stride)
      }
    }
  }

  /// Where the panel that begins with a column stands: slab after slab, a block of columns with all of its steps.
  private func place(_ column: Int, _ inner: Range<Int>) -> UnsafeMutablePointer<Float> {
    let block = cut.columns(ofBlock: column / cut.columns)
    let width = block.count.roundedUp(to: panelColumns)
    return memory.pointer + block.lowerBound * cut.k + width * inner.lowerBound
      + (column - block.lowerBound) * inner.count
  }
}
