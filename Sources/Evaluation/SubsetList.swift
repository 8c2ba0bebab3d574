import Basics
import Features
import Foundation
import Pipeline

/// A list of images, one file name a line with its class before the first `_`: `n01440764_10043.JPEG`.
///
/// - Source: spec/evaluation.md E4: the lists of MSN and SimCLR.
struct SubsetList {
  /// `shot5` for a list with five images of every class, whatever the file is called; else the file's name.
  let name: String
  /// Numbers of images of the train split, rising.
  let images: [Int]

  /// The images of a train split by class and file name.
  struct Images {
    fileprivate let classes: Int
    fileprivate let labels: [String: Int32]
    fileprivate let numbers: [String: Int]
    fileprivate let ownLabels: [Int32]

    /// - Parameter names: the file of each image, in the order of the split; folders are left aside.
    init(names: [String], _ splits: LabelledSplits) {
      precondition(
        names.count == splits.train.count, "SubsetList: \(names.count) names of \(splits.train.count) images")
      classes = splits.classes
      ownLabels = splits.train.labels
      labels = Dictionary(
        splits.train.classNames.enumerated().map { ($1, Int32($0)) }, uniquingKeysWith: { first, _ in first })
      numbers = Dictionary(
        names.enumerated().map { (Images.key($1, splits.train.labels[$0]), $0) },
        uniquingKeysWith: { first, _ in first })
    }

    fileprivate static func key(_ path: String, _ label: Int32) -> String {
      "\(label)/\(path.split(separator: "/").last ?? "")"
    }

    fileprivate func number(of line: String, at place: String) throws(Failure) -> Int {
      let word = String(line.prefix { $0 != "_" })
      guard line.contains("_"), let label = labels[word] else {
        throw Failure(
          .badData, "'\(line)' names no class of the data before its first '_'", at: place,
          hint: "a line is CLASS_NUMBER.JPEG, and the class a folder of the train split")
      }
      guard let number = numbers[Images.key(line, label)] else {
        throw Failure(
          .badData, "the train split has no image '\(line)' in the class '\(word)'", at: place,
          hint: "use the list that was made for this dataset")
      }
      return number
    }
  }

  /// Reads a list.
  ///
  /// - Throws: input missing when there is no file, bad data with the line that is wrong or a class that is not named.
  init(_ path: String, _ known: Images) throws(Failure) {
    guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
      throw Failure(.inputMissing, "the list of images cannot be read", at: path)
    }
    var chosen: Set<Int> = []
    var perClass = [Int](repeating: 0, count: known.classes)
    for (row, part) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
      let line = part.trimmingCharacters(in: .whitespaces)
      guard !line.isEmpty else { continue }
      let number = try known.number(of: line, at: "\(path):\(row + 1)")
      guard chosen.insert(number).inserted else {
        throw Failure(.badData, "'\(line)' stands in the list twice", at: "\(path):\(row + 1)")
      }
      perClass[Int(known.ownLabels[number])] += 1
    }
    guard let least = perClass.min(), least > 0 else {
      throw Failure(.badData, "the list leaves out a class", at: path, hint: "every class needs an image to learn from")
    }
    let file = String(path.split(separator: "/").last ?? "")
    name = perClass.max() == least ? "shot\(least)" : file.hasSuffix(".txt") ? String(file.dropLast(4)) : file
    images = chosen.sorted()
  }
}

extension EvaluationContext {
  /// The files of the images of a split.
  ///
  /// - Throws: input missing when only the features are known.
  func imageNames(of set: FeatureSet, _ split: Split) throws(Failure) -> [String] {
    guard let splits else {
      throw Failure(
        .inputMissing, "features alone do not know the files of the split '\(split.rawValue)'", at: "subsets",
        hint: "a list of file names needs --data beside the features")
    }
    let source = try splits.source(split)
    return set.indices.map { source.name(Int($0)) }
  }
}
