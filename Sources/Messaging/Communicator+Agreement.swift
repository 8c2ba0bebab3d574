import Basics

extension Communicator {
  /// Lets all ranks go on, or none: if any rank brings a failure, every rank throws the one of the lowest such rank.
  ///
  /// Call it after work that can fail on one rank alone and before the next collective call.
  /// - Parameters:
  ///   - failure: what went wrong here; nil when nothing did.
  /// - Throws: the failure of the lowest failing rank, with `rank r (host): ` before its text when there are several
  ///   ranks.
  /// - Collective: all ranks.
  public func agree(_ failure: Failure?) throws(Failure) {
    guard size > 1 else {
      if let failure { throw failure }
      return
    }
    let lowest = try allReduceMin([Int64(failure == nil ? size : rank)])
    let culprit = Int(lowest[0])
    guard culprit < size else { return }
    let bytes = try broadcast(failure?.encoded ?? [], from: culprit)
    throw Failure(encoded: bytes).prefixed("\(name(ofRank: culprit)): ")
  }

  /// The result of work that can fail on one rank alone: all ranks get theirs, or all throw.
  /// - Throws: as `agree(_:)`.
  /// - Collective: all ranks; `body` itself must not communicate.
  public func agreed<R>(_ body: () throws(Failure) -> R) throws(Failure) -> R {
    let result: Result<R, Failure>
    do throws(Failure) { result = .success(try body()) } catch { result = .failure(error) }
    if case .failure(let failure) = result { try agree(failure) } else { try agree(nil) }
    return try result.get()
  }
}
