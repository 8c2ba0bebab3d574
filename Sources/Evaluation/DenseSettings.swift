import Basics
import Images
import Pipeline
import Settings

extension Section {
  /// The part of the data that a protocol without training looks at.
  func split(_ meaning: String) throws(Failure) -> Split { try word("split", default: .val, meaning) }

  /// The class of the masks that is no object: 0 as in most datasets; nil when every class is one.
  func background() throws(Failure) -> UInt8? {
    let number = try int(
      "background", default: 0, in: -1..<Int(LabelMask.ignored), "the class that is no object; -1: every class is one")
    return number < 0 ? nil : UInt8(number)
  }

  /// One of the words of a type.
  func word<Word: CaseIterable & RawRepresentable<String>>(
    _ key: String, default fallback: Word, _ meaning: String
  ) throws(Failure) -> Word {
    let text = try choice(key, default: fallback.rawValue, Word.allCases.map(\.rawValue), meaning)
    return Word(rawValue: text) ?? fallback
  }
}
