#!/usr/bin/env python3
"""Compares the `import` lines of every target with its row in Package.swift; prints one line per import it does not name."""
import json
import pathlib
import re
import subprocess
import tempfile

# Modules that come with the toolchain.
TOOLCHAIN = {"Swift", "Foundation", "FoundationEssentials", "Glibc", "Musl", "Dispatch", "Synchronization", "XCTest"}
IMPORT = re.compile(
    r"^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|package|internal|fileprivate|private)\s+)?import\s+"
    r"(?:(?:struct|class|enum|protocol|func|var|let|typealias)\s+)?(\w+)")


def dependency_names(row):
    """Names of the targets and products that a row of the manifest lists."""
    return {value[0] for entry in row["dependencies"] for value in entry.values() if isinstance(value, list)}


def main():
    # A scratch folder of its own: the usual one is locked while a build runs.
    with tempfile.TemporaryDirectory() as scratch:
        manifest = json.loads(subprocess.run(
            ["swift", "package", "--scratch-path", scratch, "dump-package"],
            check=True, capture_output=True, text=True).stdout)
    for row in manifest["targets"]:
        name = row["name"]
        folder = pathlib.Path(row.get("path") or ("Tests" if row["type"] == "test" else "Sources") + "/" + name)
        allowed = dependency_names(row) | TOOLCHAIN
        for path in sorted(folder.rglob("*.swift")):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                match = IMPORT.match(line)
                if match and match.group(1) not in allowed:
                    print(f"{path}:{number}: {name} imports {match.group(1)}")


if __name__ == "__main__":
    main()
