import Basics
import Foundation
import Messaging
import TestKit

/// The world of the test process. Every test of these files is collective: all ranks run the same tests in one order.
func sharedCommunicator() throws -> Communicator { try World.start().communicator }

/// A fresh directory that all ranks see.
func sharedDirectory(_ communicator: Communicator) throws -> String {
  try communicator.broadcast(communicator.rank == 0 ? temporaryDirectory("storage") : "")
}

/// What a program prints; nil when it cannot be run or fails.
func output(_ command: [String]) -> String? {
  let process = Process()
  process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
  process.arguments = command
  let pipe = Pipe()
  process.standardOutput = pipe
  guard (try? process.run()) != nil else { return nil }
  let data = pipe.fileHandleForReading.readDataToEndOfFile()
  process.waitUntilExit()
  return process.terminationStatus == 0 ? String(decoding: data, as: UTF8.self) : nil
}
