import Basics
import Messaging
import XCTest

@testable import Training

final class CostLedgerTests: XCTestCase {
  private let setting = CostLedger.Setting(
    threads: 3, nodes: 1, stepsPerEpoch: 4, totalSteps: 40, epochImages: 50, flopsPerImage: 1e6,
    viewSizes: [224, 224] + [Int](repeating: 96, count: 10))

  func testAnAccountSumsItsStepsAndTheNextOneBeginsAnew() throws {
    let communicator = try World.start().communicator
    var ledger = CostLedger(setting, after: 2)
    XCTAssertTrue(try ledger.settle(at: 2, communicator).isEmpty, "no step, no line")
    for milliseconds in [10, 20, 40, 30] {
      var times = StepTimes()
      times.total = Double(milliseconds) / 1000
      times.communication = times.total / 4
      times.data = times.total / 8
      ledger.add(times, images: 12)
    }
    let line = JSON.object(try ledger.settle(at: 6, communicator))
    XCTAssertEqual(line["from_step"]?.intValue, 2)
    XCTAssertEqual(line["steps"]?.intValue, 4)
    XCTAssertEqual(line["total_steps"]?.intValue, 40)
    XCTAssertEqual(line["images"]?.intValue, 48)
    XCTAssertEqual(line["epoch"]?.doubleValue, 1.5)
    func expect(_ key: String, _ value: Double) {
      XCTAssertEqual(line[key]?.doubleValue ?? .nan, value, accuracy: 1e-9 * max(value, 1), key)
    }
    expect("step_s", 0.1)
    expect("images_per_s", 480)
    expect("step_ms_p50", 20)
    expect("step_ms_p95", 40)
    expect("comm_share", 0.25)
    expect("data_share", 0.125)
    expect("flops_per_s", 4.8e8)
    expect("effective_epochs", 48.0 / 50 * (2 + 10 * 96 * 96 / (224.0 * 224)))
    let wall = line["wall_s"]?.doubleValue ?? .nan
    expect("core_hours", 3 * wall / 3600)
    expect("node_hours", wall / 3600)
    XCTAssertGreaterThan(line["rss_mib_max"]?.doubleValue ?? 0, 1)
    XCTAssertEqual(line["rss_rank"]?.intValue, 0)
    ledger.add(StepTimes(), images: 7)
    let next = JSON.object(try ledger.settle(at: 7, communicator))
    XCTAssertEqual(next["from_step"]?.intValue, 6)
    XCTAssertEqual(next["images"]?.intValue, 7)
  }

  func testAnImageOfManyViewsCountsByTheirArea() {
    XCTAssertEqual(setting.viewArea, 3.84, accuracy: 0.005)
  }

  func testQuantilesAreValuesThatOccurred() {
    XCTAssertEqual(CostLedger.quantile(0.5, of: [7]), 7)
    XCTAssertEqual(CostLedger.quantile(0.95, of: (1...100).map(Double.init)), 95)
    XCTAssertEqual(CostLedger.quantile(0.95, of: (1...10).map(Double.init)), 10)
    XCTAssertEqual(CostLedger.quantile(0.5, of: [1, 2, 3, 4]), 2)
    XCTAssertEqual(CostLedger.quantile(0.5, of: []), 0)
  }
}
