import Basics

/// Finds out which ranks an operation waits for, from what ranks last published.
struct HangReport {
  /// A rank whose watchdog has been silent for longer than this is stopped.
  static let silenceLimit = 3.0

  let flight: InFlight
  let waited: Double
  let layout: WorldLayout
  /// What is known: always about the ranks of this node, on rank 0 about the other nodes as well.
  let sightings: [Sighting]

  /// The ranks that the operation waits for, as far as they can be seen: not arrived, or stopped.
  var missing: [Sighting] {
    sightings.filter { $0.rank != layout.rank && (isSilent($0) || !hasArrived($0.status)) }
  }

  /// What to print.
  var failure: Failure {
    let missing = missing
    let who =
      missing.isEmpty
      ? "all \(sightings.count) ranks that can be seen from here are in it"
      : "it waits for " + missing.map { "rank \($0.rank)" }.joined(separator: ", ")
    return Failure(
      .rankLost,
      "\(title) of phase \"\(flight.phase.name)\" has not ended after \(whole(waited)) s; \(who)",
      at: "rank \(layout.rank) (\(layout.hostNames[layout.rank]))", hint: hint(missing))
  }

  private var title: String {
    flight.kind.isCollective ? "\(flight.kind.word) #\(flight.sequence)" : flight.kind.word
  }

  private func hint(_ missing: [Sighting]) -> String {
    guard !missing.isEmpty else {
      return sightings.count < layout.size
        ? "a rank of another node, or the link to it, is missing: that node's own message names it"
        : "the file system or the MPI transport does not answer: look at the nodes, then relaunch with --resume auto"
    }
    let details = missing.prefix(4).map { sighting in
      let place = "rank \(sighting.rank) (\(layout.hostNames[sighting.rank]))"
      let doing = "in phase \"\(sighting.status.phase)\", last entered operation #\(sighting.status.sequence)"
      let life =
        isSilent(sighting)
        ? "; no sign of life for \(whole(sighting.silentSeconds)) s: stopped, starved or cut off" : ""
      return "\(place) is \(doing)\(life)"
    }
    return details.joined(separator: "; ") + ". Relaunch with --resume auto; if it happens again, exclude the host"
  }

  private func isSilent(_ sighting: Sighting) -> Bool { sighting.silentSeconds > HangReport.silenceLimit }

  private func hasArrived(_ status: RankStatus) -> Bool {
    if flight.kind.isCollective { return status.sequence >= flight.sequence }
    return status.kind == flight.kind || status.sequence > flight.sequence
  }

  private func whole(_ seconds: Double) -> Int { Int(seconds.rounded()) }
}
