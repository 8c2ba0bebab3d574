import Basics
import Glibc

/// The library that large matrix products go to.
///
/// OpenBLAS is linked and always there. oneDNN is loaded at run time when it is asked for: it is faster where the left
/// operand is not transposed (forward and data gradient), OpenBLAS where it is (weight gradient), so with `onednn` each
/// gets its own. Results differ by rounding; a run that is to continue bit for bit keeps its choice.
public enum ProductLibrary: String, CaseIterable, Sendable {
  case openblas, onednn

  /// The library in use.
  public static var chosen: ProductLibrary { current.sgemm == nil ? .openblas : .onednn }

  /// Uses one library from now on. Call between operations, never inside one.
  ///
  /// - Throws: `Failure` of code 69 when the library is not installed.
  public static func use(_ library: ProductLibrary) throws(Failure) {
    switch library {
    case .openblas: current = Loaded(sgemm: nil)
    case .onednn: current = Loaded(sgemm: try OneDNN.load())
    }
  }

  /// The loaded product, or nil for OpenBLAS.
  static var sgemm: OneDNN.SGEMM? { current.sgemm }

  private struct Loaded { let sgemm: OneDNN.SGEMM? }

  /// Written by `use` only, between operations.
  nonisolated(unsafe) private static var current = Loaded(sgemm: nil)
}

/// oneDNN's matrix product: row-major, any leading dimensions, from any thread.
enum OneDNN {
  /// transposes as "N" or "T", then m, n, k, alpha, a, lda, b, ldb, beta, c, ldc; 0 on success.
  typealias SGEMM =
    @convention(c) (
      CChar, CChar, Int, Int, Int, Float, UnsafePointer<Float>, Int, UnsafePointer<Float>, Int, Float,
      UnsafeMutablePointer<Float>, Int
    ) -> Int32

  private static let names = ["libdnnl.so.3", "libdnnl.so.2", "libdnnl.so"]

  static func load() throws(Failure) -> SGEMM {
    // The program splits rows over its own threads; OpenMP reads this when the library comes in.
    setenv("OMP_NUM_THREADS", "1", 1)
    for name in names {
      guard let library = dlopen(name, RTLD_NOW | RTLD_LOCAL), let symbol = dlsym(library, "dnnl_sgemm") else {
        continue
      }
      return unsafeBitCast(symbol, to: SGEMM.self)
    }
    throw Failure(
      .unavailable, "oneDNN is not installed: none of \(names.joined(separator: ", ")) can be loaded",
      at: "runtime.gemm", hint: "apt-get install libdnnl2, or runtime.gemm=openblas")
  }
}
