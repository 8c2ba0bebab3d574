import CMPI

/// The number types that reductions know.
enum Element: Sendable {
  case float, double, int64

  var datatype: MPI_Datatype {
    switch self {
    case .float: cmpi_float()
    case .double: cmpi_double()
    case .int64: cmpi_int64()
    }
  }

  var bytes: Int { self == .float ? 4 : 8 }
}

/// How values of different ranks become one.
enum Reduction: Sendable {
  case sum, min, max

  var handle: MPI_Op {
    switch self {
    case .sum: cmpi_sum()
    case .min: cmpi_min()
    case .max: cmpi_max()
    }
  }
}

/// One thing that the communication thread is asked to do.
enum Operation {
  /// `values` of every rank become their reduction, in place.
  case allReduce(UnsafeMutableRawPointer, count: Int, Element, Reduction)
  /// Floats of every rank become their sum, in place, through the window.
  case windowSum(UnsafeMutablePointer<Float>, count: Int)
  /// The same with floats that the ranks of a node reach, where they lie.
  case nodeSum(NodeMemory, Range<Int>)
  /// Ends when the ranks of a node have read the sums of such floats.
  case nodeReuse(NodeMemory, releases: Int)
  case openWindow(ranksPerWindow: Int?, pieceFloats: Int?, WindowResult)
  case closeWindow
  case shareMemory(parts: [Range<Int>], NodeMemoryResult)
  /// The ranks of each node, or of parts of it that are pretended to be nodes.
  case groupNodes(ranksPerNode: Int?, NodeGroupResult)
  /// Memory that the ranks of a node share, one block for each node.
  case shareBlock(NodeGroup, bytes: Int, remedy: String, NodeBlockResult)
  case broadcast(UnsafeMutableRawPointer, bytes: Int, root: Int)
  /// Byte strings of any length; `root` nil gives them to every rank.
  case gather([UInt8], root: Int?, GatherResult)
  /// Blocks of known sizes, in rank order, to every rank.
  case allGather(UnsafeRawPointer, bytes: [Int], UnsafeMutableRawPointer, Traffic?)
  /// Parts of each node, which stand in its shared memory, to the same places on all nodes; ends when all see all.
  case nodeGather(NodeGroup, UnsafeMutableRawPointer, bytes: [Int], Traffic?)
  /// A number for each rank, and one from each.
  case exchange(NumberExchange, Traffic?)
  /// Bytes for each rank, and from each.
  case allToAll(ByteExchange, Traffic?)
  case barrier
  case nodeBarrier(NodeGroup)
  /// Foreign code that makes MPI calls of its own; not counted as a collective.
  case task(ForeignCode)
  case start(StartResult)
  case finish

  /// The word a message uses.
  var kind: OperationKind {
    switch self {
    case .allReduce, .windowSum, .nodeSum: .allReduce
    case .openWindow, .closeWindow, .shareMemory, .groupNodes, .shareBlock: .window
    case .broadcast: .broadcast
    case .gather, .allGather, .nodeGather: .gather
    case .exchange, .allToAll: .exchange
    case .barrier, .nodeBarrier, .nodeReuse: .barrier
    case .task: .task
    case .start: .start
    case .finish: .finish
    }
  }
}

/// The kinds of operation, as numbers that ranks of a node can show each other.
enum OperationKind: Int64, Sendable {
  case none, allReduce, broadcast, gather, barrier, task, start, finish, window, exchange

  /// Whether every rank takes part, so that the operation has a number that is the same on all ranks.
  var isCollective: Bool {
    switch self {
    case .allReduce, .broadcast, .gather, .barrier, .finish, .window, .exchange: true
    case .none, .task, .start: false
    }
  }

  var word: String {
    switch self {
    case .none: "nothing"
    case .allReduce: "all-reduce"
    case .broadcast: "broadcast"
    case .gather: "gather"
    case .barrier: "barrier"
    case .task: "file operation"
    case .start: "MPI start"
    case .finish: "MPI end"
    case .window: "set-up of shared memory"
    case .exchange: "exchange"
    }
  }
}

/// Where a gather leaves its byte strings; empty on ranks that receive nothing.
final class GatherResult {
  var parts: [[UInt8]] = []
}

/// Code that a caller lends to the communication thread for the time of one operation.
final class ForeignCode {
  private var body: (() -> Void)?

  init(_ body: @escaping () -> Void) { self.body = body }

  /// Runs the code and lets go of it: when the caller goes on, nobody else may hold what the code captured.
  func run() {
    body?()
    body = nil
  }
}
