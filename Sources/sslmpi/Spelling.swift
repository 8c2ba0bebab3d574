/// Options and commands by the names other programs have taught people.
struct Spelling {
  private(set) var arguments: [String] = []
  private(set) var notices: [String] = []

  private static let options = [
    "--output-dir": "--out", "--work-dir": "--out", "--data-path": "--data", "--blr": "--base-lr",
  ]

  init(arguments: [String]) {
    for (place, argument) in arguments.enumerated() {
      let name = String(argument.prefix { $0 != "=" })
      if place == 0 && argument == "train" {
        self.arguments.append("pretrain")
      } else if let own = Spelling.options[name] {
        self.arguments.append(own + argument.dropFirst(name.count))
        notices.append("\(name) is called \(own) here")
      } else {
        self.arguments.append(argument)
      }
    }
  }
}
