/// Where a run's weights come from when its directory already holds checkpoints.
public enum ResumeMode: Equatable, Sendable {
  /// The newest checkpoint that verifies; a fresh start when there is none.
  case auto
  /// A fresh start; an existing run directory is refused.
  case never
  /// This file, with optimiser and position.
  case file(String)
}

/// What the command line says, before any file is read.
public struct LaunchOptions: Sendable {
  /// Configuration files, later ones winning.
  public var configFiles: [String]
  /// The name of a preset put below the files.
  public var preset: String?
  /// `key.sub=value`, the flags included.
  public var overrides: [String]
  /// The run directory; `runs/<name>` when nil.
  public var out: String?
  /// How to treat checkpoints that are already there.
  public var resume: ResumeMode
  /// A checkpoint that gives weights only.
  public var initFrom: String?
  /// Replaces an existing run, or with `stage` that stage of it.
  public var overwrite: Bool
  /// The one stage to run; all when nil.
  public var stage: String?
  /// Seconds after which the run saves and ends with exit 75.
  public var timeLimit: Double?
  /// Builds everything, prints the header and stops.
  public var dryRun: Bool
  /// No progress lines.
  public var quiet: Bool

  /// Options of a plain start.
  public init(
    configFiles: [String] = [], preset: String? = nil, overrides: [String] = [], out: String? = nil,
    resume: ResumeMode = .never, initFrom: String? = nil, overwrite: Bool = false, stage: String? = nil,
    timeLimit: Double? = nil,
    dryRun: Bool = false, quiet: Bool = false
  ) {
    self.configFiles = configFiles
    self.preset = preset
    self.overrides = overrides
    self.out = out
    self.resume = resume
    self.initFrom = initFrom
    self.overwrite = overwrite
    self.stage = stage
    self.timeLimit = timeLimit
    self.dryRun = dryRun
    self.quiet = quiet
  }
}
