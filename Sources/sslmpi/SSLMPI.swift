import ArgumentParser
import Basics
import Foundation
import Training

/// The program: finds the command, runs it, and turns whatever happens into one message and an exit code.
@main
struct SSLMPI: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sslmpi",
    abstract: "Self-supervised pre-training of Vision Transformers on CPU clusters.",
    discussion: """
      The same command works alone, under mpirun and under srun. Start here:
        sslmpi pretrain --preset demo --out runs/demo
        sslmpi config explain
      """,
    version: Versions.program,
    subcommands: [
      PretrainCommand.self, EvalCommand.self, EmbedCommand.self, VisualizeCommand.self, ExportCommand.self,
      ImportCommand.self, InspectCommand.self, TraceStepCommand.self, BenchCommand.self, ConfigCommand.self,
      ListCommand.self, PackCommand.self,
    ])

  static func main() {
    let spelling = Spelling(arguments: Array(CommandLine.arguments.dropFirst()))
    for notice in spelling.notices { Output.message("note: \(notice)") }
    do {
      var command = try parseAsRoot(spelling.arguments)
      try command.run()
    } catch let failure as Failure {
      Output.message(failure.description)
      end(failure.code.rawValue)
    } catch {
      // Help and version are errors of code 0 to the parser, and belong on standard output.
      let code = exitCode(for: error).rawValue
      if code == 0 { Output.result(fullMessage(for: error)) } else { Output.message(fullMessage(for: error)) }
      end(code)
    }
    end(Basics.ExitCode.done.rawValue)
  }

  private static func end(_ code: Int32) -> Never { Foundation.exit(code) }
}

extension Basics.ExitCode {
  /// Ends the command with this code, unless it is the one of success.
  func end() throws {
    if self != .done { throw ArgumentParser.ExitCode(rawValue) }
  }
}
