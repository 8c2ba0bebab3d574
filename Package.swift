// swift-tools-version: 6.2
import PackageDescription

// The house, lowest floor first. A target imports only what its row names
// (CI: --explicit-target-dependency-import-check error).

// Tests run on the optimised build, the one that users run, so it opens its modules to @testable.
let checked: [SwiftSetting] = [
  .treatAllWarnings(as: .error), .unsafeFlags(["-enable-testing"], .when(configuration: .release)),
]
let kernelFlags: [CSetting] = [
  .unsafeFlags(["-O3", "-fno-math-errno", "-ffp-contract=fast", "-Wall", "-Wextra", "-Werror"])
]

// Pillow's bytes need each product rounded before it is added: no fused multiply-add on any machine.
let pixelFlags = kernelFlags + [.unsafeFlags(["-ffp-contract=off"])]

func floor(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: checked)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(
    name: "\(name)Tests", dependencies: [.target(name: name), "TestKit"] + dependencies, swiftSettings: checked)
}

let yams = Target.Dependency.product(name: "Yams", package: "Yams")
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
  name: "sslmpi",
  products: [.executable(name: "sslmpi", targets: ["sslmpi"])],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    // floor 0: C
    .systemLibrary(name: "CMPI", pkgConfig: "ompi-c"),
    .systemLibrary(name: "CHDF5", pkgConfig: "hdf5-openmpi"),
    .systemLibrary(name: "COpenBLAS", pkgConfig: "openblas"),
    .systemLibrary(name: "CXXHash", pkgConfig: "libxxhash"),
    .systemLibrary(name: "CCrypto", pkgConfig: "libcrypto"),
    .target(
      name: "CJPEG", cSettings: pixelFlags, linkerSettings: [.linkedLibrary("jpeg"), .linkedLibrary("png")]),
    .target(name: "CKernels", cSettings: kernelFlags, linkerSettings: [.linkedLibrary("m")]),
    // floor 1
    floor("Basics", []),
    // floor 2
    floor("Settings", ["Basics", yams]),
    floor("Messaging", ["Basics", "CMPI"]),
    floor("Tensors", ["Basics", "CKernels", "COpenBLAS"]),
    floor("Images", ["Basics", "CJPEG"]),
    // floor 3
    floor("Storage", ["Basics", "Messaging", "CHDF5"]),
    floor("Autodiff", ["Basics", "Tensors"]),
    // floor 4
    floor("Layers", ["Basics", "Tensors", "Autodiff"]),
    // floor 5
    floor("Optimizers", ["Basics", "Tensors", "Autodiff", "Layers"]),
    floor("Pipeline", ["Basics", "Images", "Tensors"]),
    // floor 6
    floor("Parallelism", ["Basics", "Tensors", "Autodiff", "Layers", "Messaging", "Optimizers"]),
    // floor 7
    floor("Checkpoints", ["Basics", "Messaging", "Storage", "CXXHash"]),
    floor("Features", ["Basics", "Tensors", "Messaging", "Storage", "Pipeline"]),
    floor(
      "Methods",
      ["Basics", "Settings", "Tensors", "Autodiff", "Layers", "Optimizers", "Messaging", "Parallelism", "Pipeline"]),
    // floor 8
    floor(
      "Training",
      [
        "Basics", "Settings", "Tensors", "Images", "Autodiff", "Layers", "Optimizers", "Messaging", "Pipeline",
        "Parallelism", "Storage", "Features", "Checkpoints", "Methods",
      ]),
    floor(
      "Weights",
      [
        "Basics", "Settings", "Tensors", "Autodiff", "Layers", "Messaging", "Storage", "Pipeline", "Features",
        "Checkpoints", "Methods", "CCrypto",
      ]),
    // floor 9
    floor(
      "Evaluation",
      [
        "Basics", "Settings", "Tensors", "Images", "Autodiff", "Layers", "Optimizers", "Messaging", "Storage",
        "Pipeline", "Features", "Checkpoints", "Methods", "Weights", "COpenBLAS",
      ]),
    // floor 10
    .executableTarget(
      name: "sslmpi",
      dependencies: [
        "Basics", "Settings", "Tensors", "Images", "Autodiff", "Layers", "Optimizers", "Messaging", "Storage",
        "Pipeline", "Parallelism", "Features", "Checkpoints", "Methods", "Training", "Weights", "Evaluation",
        argumentParser,
      ],
      swiftSettings: checked),
    // tests only
    .target(name: "TestKit", dependencies: ["Basics"], path: "Tests/TestKit", swiftSettings: checked),
    tests("Basics", []),
    tests("Settings", ["Basics"]),
    tests("Messaging", ["Basics", "CMPI"]),
    tests("Tensors", ["Basics", "CKernels"]),
    tests("Images", ["Basics"]),
    tests("Storage", ["Basics", "Messaging"]),
    tests("Autodiff", ["Basics", "Tensors"]),
    tests("Layers", ["Basics", "Tensors", "Autodiff"]),
    tests("Optimizers", ["Basics", "Tensors", "Autodiff", "Layers"]),
    tests("Pipeline", ["Basics", "Images", "Tensors"]),
    tests("Parallelism", ["Basics", "Tensors", "Autodiff", "Layers", "Messaging", "Optimizers"]),
    tests("Checkpoints", ["Basics", "Tensors", "Layers", "Messaging", "Storage", "Parallelism"]),
    tests(
      "Methods",
      [
        "Basics", "Settings", "Tensors", "Autodiff", "Layers", "Optimizers", "Messaging", "Parallelism", "Pipeline",
      ]),
    tests(
      "Training",
      [
        "Basics", "Settings", "Tensors", "Images", "Autodiff", "Layers", "Optimizers", "Messaging", "Pipeline",
        "Parallelism", "Features", "Checkpoints", "Methods",
      ]),
    tests("Features", ["Basics", "Tensors", "Messaging", "Storage", "Pipeline"]),
    tests(
      "Weights",
      [
        "Basics", "Settings", "Tensors", "Autodiff", "Layers", "Messaging", "Storage", "Pipeline", "Features",
        "Checkpoints", "Methods",
      ]),
    tests(
      "Evaluation",
      [
        "Basics", "Settings", "Tensors", "Images", "Autodiff", "Layers", "Messaging", "Storage", "Pipeline", "Features",
        "Checkpoints", "Methods", "Weights",
      ]),
    .testTarget(
      name: "CommandLineTests", dependencies: ["TestKit", "Basics", "Settings", "Storage", "sslmpi"],
      swiftSettings: checked),
  ],
  swiftLanguageModes: [.v6]
)
