#!/usr/bin/env python3
"""Check that every link between the project's Markdown files leads somewhere.

Relative links must name a file of the project, and what follows a # a heading of that file. Pages of the book must be in
its table of contents. Links to the web are not followed.

    python scripts/check_links.py
"""

import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)


def anchors(path):
    """The anchors of a file's headings, as mdBook and GitHub make them."""
    with open(path, encoding="utf-8") as file:
        text = FENCE.sub("", file.read())
    found = set()
    for heading in re.findall(r"^#+ +(.*?) *$", text, re.MULTILINE):
        plain = re.sub(r"[`*]|\[|\]\([^)]*\)", "", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return found


def broken(path):
    """What is wrong with each link of a file that leads nowhere."""
    with open(path, encoding="utf-8") as file:
        text = FENCE.sub("", file.read())
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        there = os.path.normpath(os.path.join(os.path.dirname(path), file)) if file else path
        if not os.path.exists(there):
            yield f"{target}: there is no such file"
        elif anchor and there.endswith(".md") and anchor not in anchors(there):
            yield f"{target}: {os.path.relpath(there, ROOT)} has no heading of that name"


def main():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )
    files = [os.path.join(ROOT, line) for line in listed.stdout.split()]
    wrong = [f"{os.path.relpath(path, ROOT)}: {what}" for path in files for what in broken(path)]
    with open(os.path.join(ROOT, "docs/src/SUMMARY.md"), encoding="utf-8") as file:
        contents = set(LINK.findall(file.read()))
    for name in sorted(os.listdir(os.path.join(ROOT, "docs/src"))):
        if name.endswith(".md") and name != "SUMMARY.md" and name not in contents:
            wrong.append(f"docs/src/SUMMARY.md: {name} is missing")
    for line in wrong:
        print(line)
    if wrong:
        sys.exit(1)
    print(f"the links of {len(files)} files lead somewhere")


if __name__ == "__main__":
    main()
