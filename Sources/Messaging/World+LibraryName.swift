import CMPI

extension World {
  /// Name and version of the MPI library, for example `Open MPI v4.1.4`. Local; MPI need not run.
  public static var libraryName: String {
    var text = [CChar](repeating: 0, count: Int(MPI_MAX_LIBRARY_VERSION_STRING) + 1)
    var length: Int32 = 0
    MPI_Get_library_version(&text, &length)
    let whole = String(decoding: text.prefix(Int(length)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return String(whole.prefix { $0 != "," })
  }
}
