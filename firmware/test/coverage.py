"""Line coverage of the core from a build with COVERAGE=ON: coverage.py BUILD MINIMUM-PERCENT."""

import collections
import json
import pathlib
import subprocess
import sys

build, minimum = pathlib.Path(sys.argv[1]), float(sys.argv[2])
lines: dict[str, dict[int, int]] = collections.defaultdict(dict)
objects = list((build / "CMakeFiles/core.dir").rglob("*.gcda"))
text = subprocess.run(
    ["gcov", "--json-format", "--stdout", *objects],
    capture_output=True,
    text=True,
    check=True,
).stdout
for document in text.splitlines():
    for source in json.loads(document)["files"]:
        if "/src/core/" not in source["file"] and "src/core/" not in source["file"]:
            continue
        name = source["file"].rsplit("/", 1)[1]
        for line in source["lines"]:
            number = line["line_number"]
            lines[name][number] = max(lines[name].get(number, 0), line["count"])
total = hit = 0
for name, counts in sorted(lines.items()):
    reached = sum(1 for count in counts.values() if count)
    total += len(counts)
    hit += reached
    missing = [number for number, count in sorted(counts.items()) if not count]
    print(
        f"  {name:20} {100 * reached / len(counts):5.1f} %  {len(counts):4} lines"
        + (f"  not: {missing}" if missing and "-v" in sys.argv else "")
    )
percent = 100 * hit / total
print(
    f"line coverage of the core: {percent:.1f} % of {total} lines (at least {minimum:g} %)"
)
sys.exit(percent < minimum)
