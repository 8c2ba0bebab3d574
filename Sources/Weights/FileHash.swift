import Basics
import CCrypto
import Messaging
import Storage

/// The hash that names the content of a file in reports and in other programs.
public enum FileHash {
  /// SHA-256 of all bytes of a file, as 64 hexadecimal digits: what `sha256sum` prints.
  ///
  /// - Throws: code 66, 77 or 74 when the file cannot be read.
  /// - Collective: local.
  public static func sha256(_ path: String) throws(Failure) -> String {
    let file = try ByteFile.open(path)
    let length = try file.length()
    var hash = try SHA256()
    for start in stride(from: 0, to: length, by: piece) {
      hash.update(try file.bytes(min(piece, length - start), at: start))
    }
    return hash.digits()
  }

  /// The same, read by one rank and told to all.
  ///
  /// - Throws: as above, on all ranks.
  /// - Collective: all ranks of `communicator`.
  public static func sha256(_ path: String, _ communicator: Communicator) throws(Failure) -> String {
    let own = try communicator.agreed { () throws(Failure) in communicator.isCoordinator ? try sha256(path) : "" }
    return try communicator.broadcast(own)
  }

  private static let piece = 1 << 20
}

/// A running SHA-256 of libcrypto.
private struct SHA256: ~Copyable {
  private let context: OpaquePointer

  init() throws(Failure) {
    guard let context = EVP_MD_CTX_new(), EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1 else {
      throw Failure(
        .unavailable, "libcrypto offers no SHA-256", hint: "check the OpenSSL installation and its configuration")
    }
    self.context = context
  }

  deinit { EVP_MD_CTX_free(context) }

  mutating func update(_ bytes: [UInt8]) {
    let isDone = EVP_DigestUpdate(context, bytes, bytes.count)
    precondition(isDone == 1, "SHA256.update: libcrypto refused \(bytes.count) bytes")
  }

  /// Ends the hash; call it once.
  func digits() -> String {
    var digest = [UInt8](repeating: 0, count: 32)
    let isDone = EVP_DigestFinal_ex(context, &digest, nil)
    precondition(isDone == 1, "SHA256.digits: libcrypto refused to end the hash")
    return digest.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
  }
}
