import Basics
import Glibc

/// oneDNN's matrix product, loaded at run time: row-major, any leading dimensions, from any thread.
enum OneDNN {
  /// transposes as "N" or "T", then m, n, k, alpha, a, lda, b, ldb, beta, c, ldc; 0 on success.
  private typealias SGEMM =
    @convention(c) (
      CChar, CChar, Int, Int, Int, Float, UnsafePointer<Float>, Int, UnsafePointer<Float>, Int, Float,
      UnsafeMutablePointer<Float>, Int
    ) -> Int32

  private static let names = ["libdnnl.so.3", "libdnnl.so.2", "libdnnl.so"]
  private static let sgemm: SGEMM? = {
    // The program splits rows over its own threads; OpenMP reads this when the library comes in.
    setenv("OMP_NUM_THREADS", "1", 1)
    for name in names {
      guard let library = dlopen(name, RTLD_NOW | RTLD_LOCAL), let symbol = dlsym(library, "dnnl_sgemm") else {
        continue
      }
      return unsafeBitCast(symbol, to: SGEMM.self)
    }
    return nil
  }()

  /// Whether the library can be loaded.
  static var isInstalled: Bool { sgemm != nil }

  /// - Throws: `Failure` of code 69 when the library is not installed.
  static func require() throws(Failure) {
    guard isInstalled else {
      throw Failure(
        .unavailable, "oneDNN is not installed: none of \(names.joined(separator: ", ")) can be loaded",
        at: "runtime.gemm", hint: "apt-get install libdnnl2, or runtime.gemm=openblas")
    }
  }

  /// c = a b, or c += a b.
  static func multiply(
    _ a: PanelProduct.Operand, _ b: PanelProduct.Operand, into c: UnsafeMutablePointer<Float>, stride: Int, m: Int,
    n: Int, k: Int, accumulate: Bool
  ) {
    guard let sgemm else { preconditionFailure("OneDNN.multiply: the library is not loaded") }
    let letter: (PanelProduct.Operand) -> CChar = { $0.isTransposed ? 84 : 78 }  // "T", "N"
    let status = sgemm(
      letter(a), letter(b), m, n, k, 1, a.base, a.stride, b.base, b.stride, accumulate ? 1 : 0, c, stride)
    precondition(status == 0, "OneDNN.multiply: dnnl_sgemm reports \(status) for [\(m), \(n)] of \(k)")
  }
}
