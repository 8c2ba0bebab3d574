import Evaluation
import XCTest

final class EvaluationReportTests: XCTestCase {
  func testSharesKeepTheirCountsAndSeedsTheirSpread() {
    var report = EvaluationReport()
    report.add("knn.k1.top1", 3, of: 8)
    report.add("lowshot.shot1.top1", perSeed: [1, 2, 3])
    XCTAssertEqual(report["knn.k1.top1"], 37.5)
    XCTAssertEqual(report["knn.k1.top1_count"], 3)
    XCTAssertEqual(report["knn.k1.top1_of"], 8)
    XCTAssertEqual(report["lowshot.shot1.top1_mean"], 2)
    XCTAssertEqual(report["lowshot.shot1.top1_std"] ?? 0, (2.0 / 3).squareRoot(), accuracy: 1e-15)
  }
}
