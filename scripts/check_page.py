#!/usr/bin/env python3
"""Use a report page as a reader does, in headless Chromium, and check what happens.

It trains a sweep of a few seconds, or takes the page that --page names, opens it from
disk with the network off, and checks that the script runs without an error, that every
plot is drawn, that a toggle takes an activation out of every plot and brings it back,
that a click on a header sorts a table both ways, and that points tell their value to
the pointer and the keyboard. At 1280 and 390 pixels, text of plots must be 11 pixels or
larger, the page no wider than the screen, and the answer with its plot and the differences
within it; in print, plots keep their legends. --screenshot keeps pictures of it, light and
dark, wide and narrow.

    python scripts/check_page.py
    python scripts/check_page.py --page results/quick/report.html --screenshot page

Without Chromium (Debian's package `chromium`) it is skipped, which fails where CI is set.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

from program import Failure, build_actlab, skip

EXPERIMENT = """
name = "page"
activations = ["relu", "gelu", "silu"]
seeds = [1, 2, 3]
system_metrics = 0

[tasks.images]
model = { name = "resnet", depth = 8, width = 4 }
data = { name = "fashion-mnist-mini", train_limit = 256 }

[tasks.images.training]
batch_size = 64
budget = { epochs = 2 }
optimizer = { name = "sgd" }
learning_rate = 0.1
evaluate_every = 2
"""

# Runs in the page, and leaves what it saw where the document shows it.
PROBE = """
<script>
addEventListener("load", () => {
  const seen = { errors: window.seenErrors };
  const all = (selector, parent = document) => [...parent.querySelectorAll(selector)];
  const plots = () => all("[data-plot]").map((plot) => plot.querySelectorAll(".spot, rect").length);
  seen.plots = plots();
  const toggle = document.querySelector(".toggle");
  toggle.click();
  seen.toggled = plots();
  seen.pressed = toggle.getAttribute("aria-pressed");
  toggle.click();
  seen.restored = plots();
  const button = document.querySelectorAll("table th button")[1];
  const column = () => [...document.querySelector("table").tBodies[0].rows].map((row) => row.cells[1].textContent);
  button.click();
  seen.up = column();
  button.click();
  seen.down = column();
  const tip = document.getElementById("tip");
  const point = document.querySelector(".spot");
  point.dispatchEvent(new PointerEvent("pointerenter"));
  seen.tip = [tip.style.display, tip.textContent, point.getAttribute("aria-label")];
  point.dispatchEvent(new PointerEvent("pointerleave"));
  seen.hidden = tip.style.display;
  const svg = document.querySelector("[data-plot] svg");
  svg.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
  seen.key = [tip.style.display, tip.textContent];
  svg.dispatchEvent(new Event("blur"));
  // Every point is reached: nothing lies above the places to point at.
  seen.covered = 0;
  for (const plot of all("[data-plot]")) {
    plot.scrollIntoView({ block: "center" });
    for (const spot of all(".spot", plot)) {
      const box = spot.getBoundingClientRect();
      const hit = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
      if (hit && !hit.classList.contains("spot") && !hit.closest(".toggles")) seen.covered++;
    }
  }
  scrollTo(0, 0);
  seen.wide = [innerWidth, document.documentElement.scrollWidth];
  const sizes = all("[data-plot] svg").flatMap((svg) => {
    const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    return all("text", svg).map((text) => scale * parseFloat(getComputedStyle(text).fontSize));
  });
  seen.text = Math.min(...sizes);
  const legends = all("[data-plot]").filter((plot) => plot.querySelector("polyline") && all(".key", plot).length > 1);
  seen.legends = legends.length;
  const answer = document.querySelector(".answer");
  seen.forest = answer.querySelectorAll('[data-plot$="-difference"] .spot').length;
  seen.bold = answer.querySelectorAll("td strong").length;
  const cell = all("th", answer).findIndex((head) => head.textContent.startsWith("Δ"));
  const right = Math.max(...all("tbody tr", answer).map((row) => row.cells[cell].getBoundingClientRect().right));
  seen.difference = [right, innerWidth];
  seen.headings = [...document.querySelectorAll("h1, h2, h3")].map((heading) => Number(heading.tagName[1]));
  const result = document.createElement("pre");
  result.id = "seen";
  result.textContent = JSON.stringify(seen);
  document.body.append(result);
});
</script>
"""
CATCH = "<script>window.seenErrors = []; addEventListener('error', (e) => seenErrors.push(e.message));</script>"


def chromium(browser, folder, *arguments):
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        f"--user-data-dir={folder}/browser", "--host-resolver-rules=MAP * ~NOTFOUND", *arguments,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise Failure(f"Chromium failed with status {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout


def train(args, folder):
    program = os.path.abspath(args.actlab) if args.actlab else build_actlab()
    with open(os.path.join(folder, "page.toml"), "w", encoding="utf-8") as file:
        file.write(EXPERIMENT)
    done = subprocess.run(
        [program, "sweep", "page.toml", "--wandb", "disabled"], cwd=folder, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise Failure(f"the sweep failed: {done.stderr.strip()}")
    return os.path.join(folder, "results", "page", "report.html")


def expect(what, truth, seen):
    if not truth:
        raise Failure(f"{what}: {json.dumps(seen)}")


def number(text):
    return float(text.split(" ")[0].replace("−", "-"))


def check(browser, page, folder):
    with open(page, encoding="utf-8") as file:
        text = file.read()
    probed = os.path.join(folder, "probed.html")
    with open(probed, "w", encoding="utf-8") as file:
        file.write(text.replace("<head>", f"<head>{CATCH}", 1).replace("</body>", f"{PROBE}</body>", 1))
    for width in (1280, 390):
        probe(browser, probed, folder, width)


def probe(browser, probed, folder, width):
    # Chromium has no window below 500 pixels: a narrow page is in a frame.
    target = probed
    if width < 500:
        target = os.path.join(folder, "narrow.html")
        with open(target, "w", encoding="utf-8") as file:
            file.write(f"<body style='margin:0'><iframe src='probed.html' width={width} height=900 style='border:0'></iframe>"
                       "<script>addEventListener('load', () => document.body.append("
                       "document.querySelector('iframe').contentDocument.getElementById('seen')))</script>")
    flags = ("--allow-file-access-from-files", f"--window-size={max(width, 500)},900")
    dom = chromium(browser, folder, *flags, "--virtual-time-budget=5000", "--dump-dom", f"file://{target}")
    found = re.search(r'<pre id="seen">(.*?)</pre>', dom, re.S)
    if not found:
        raise Failure("the page's script did not come to its end")
    seen = json.loads(found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    expect("errors of the script", not seen["errors"], seen["errors"])
    expect("a plot is empty", seen["plots"] and all(seen["plots"]), seen["plots"])
    fewer = all(after < before for after, before in zip(seen["toggled"], seen["plots"]))
    expect("a toggle does not take its activation out", fewer and seen["pressed"] == "false", seen)
    expect("a toggle does not bring it back", seen["restored"] == seen["plots"], seen["restored"])
    expect("text of a plot is small", seen["text"] >= 11, seen["text"])
    expect("the page is wider than the screen", seen["wide"][1] <= seen["wide"][0], seen["wide"])
    expect("a narrow screen was not tried", seen["wide"][0] == width, seen["wide"])
    expect("the answer has no forest plot", seen["forest"] > 1, seen["forest"])
    expect("no plot has a legend", seen["legends"] > 0, seen["legends"])
    expect("the best is not in bold", seen["bold"] > 0, seen["bold"])
    expect("the difference is off the screen", seen["difference"][0] <= seen["difference"][1], seen["difference"])
    expect("a point lies under another mark", seen["covered"] == 0, seen["covered"])
    expect("the keyboard reaches no point", seen["key"][0] == "block" and seen["key"][1], seen["key"])
    up = [number(cell) for cell in seen["up"]]
    expect("a header does not sort", up == sorted(up), seen["up"])
    expect("a header does not sort the other way", seen["down"] != seen["up"], seen["down"])
    shown, tip, label = seen["tip"]
    expect("a point does not tell its value", shown == "block" and tip and tip == label, seen["tip"])
    expect("a value stays where nobody points", seen["hidden"] == "none", seen["hidden"])
    levels = seen["headings"]
    steps = all(b - a <= 1 for a, b in zip(levels, levels[1:]))
    expect("headings skip a level", levels[0] == 1 and steps, levels)
    print(f"{width} px: {len(seen['plots'])} plots with {sum(seen['plots'])} points; toggles, sorting, values and headings as they should be")


def screenshots(browser, page, folder, name):
    for mode, flags in {"light": (), "dark": ("--blink-settings=preferredColorScheme=0",)}.items():
        target = os.path.abspath(f"{name}-{mode}.png")
        chromium(browser, folder, *flags, "--window-size=1200,2600", f"--screenshot={target}", f"file://{page}")
        print(target)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--page", metavar="FILE", help="a report.html (default: that of a sweep of a few seconds)")
    parser.add_argument("--actlab", metavar="PATH", help="the program (default: built by cargo)")
    parser.add_argument("--screenshot", metavar="NAME", help="write NAME-light.png and NAME-dark.png")
    args = parser.parse_args()
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        skip("Chromium is not installed: install Debian's package chromium")
    with tempfile.TemporaryDirectory(prefix="actlab-page-") as folder:
        page = os.path.abspath(args.page) if args.page else train(args, folder)
        check(browser, page, folder)
        if args.screenshot:
            screenshots(browser, page, folder, args.screenshot)


if __name__ == "__main__":
    try:
        main()
    except Failure as error:
        sys.exit(f"check_page.py: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
