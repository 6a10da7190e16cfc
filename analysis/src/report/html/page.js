"use strict";
(() => {
  const data = JSON.parse(document.getElementById("figures").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const tip = document.getElementById("tip");
  const hidden = new Set();
  const NS = "http://www.w3.org/2000/svg";

  const make = (name, attributes, parent) => {
    const element = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    parent.append(element);
    return element;
  };
  const colour = (arm) => (dark.matches ? arm.dark : arm.light);
  const percent = (x) => (100 * x).toFixed(2) + " %";

  // Round numbers that cover a range.
  const ticks = (low, high) => {
    const step = 10 ** Math.floor(Math.log10((high - low) / 4 || 1));
    const wide = [1, 2, 5, 10].map((k) => k * step).find((s) => (high - low) / s <= 6) || step;
    const values = [];
    for (let i = Math.ceil(low / wide - 1e-9); i * wide <= high + 1e-9 * wide; i++) values.push(i * wide + 0);
    return values;
  };

  const show = (event, text) => {
    tip.textContent = text;
    tip.style.display = "block";
    const box = event.target.getBoundingClientRect();
    const x = event.clientX || box.x + box.width / 2, y = event.clientY || box.y;
    tip.style.left = Math.min(x + 12, innerWidth - tip.offsetWidth - 8) + "px";
    tip.style.top = Math.max(y - tip.offsetHeight - 10, 4) + "px";
  };
  const hide = () => { tip.style.display = "none"; };
  // A mark that tells its value to the pointer, the keyboard and a screen reader.
  const tell = (mark, text) => {
    mark.setAttribute("tabindex", "0");
    mark.setAttribute("role", "img");
    mark.setAttribute("aria-label", text);
    for (const name of ["pointerenter", "focus"]) mark.addEventListener(name, (event) => show(event, text));
    for (const name of ["pointerleave", "blur"]) mark.addEventListener(name, hide);
  };

  const W = 480, H = 300, LEFT = 70, RIGHT = 12, TOP = 10, BOTTOM = 42;
  // Axes; the functions that place a value.
  const frame = (svg, [x0, x1], [y0, y1], xLabel, yLabel, format, xTicks) => {
    const x = (v) => LEFT + (W - LEFT - RIGHT) * (x1 > x0 ? (v - x0) / (x1 - x0) : 0.5);
    const y = (v) => H - BOTTOM - (H - TOP - BOTTOM) * (y1 > y0 ? (v - y0) / (y1 - y0) : 0.5);
    for (const v of ticks(y0, y1)) {
      make("line", { class: "grid", x1: LEFT, x2: W - RIGHT, y1: y(v), y2: y(v) }, svg);
      make("text", { x: LEFT - 6, y: y(v) + 4, "text-anchor": "end" }, svg).textContent = format(v);
    }
    for (const [v, text] of xTicks || ticks(x0, x1).map((v) => [v, v.toLocaleString("en")])) {
      make("text", { x: x(v), y: H - BOTTOM + 16, "text-anchor": "middle" }, svg).textContent = text;
    }
    make("line", { class: "axis", x1: LEFT, x2: W - RIGHT, y1: H - BOTTOM, y2: H - BOTTOM }, svg);
    make("text", { x: (LEFT + W - RIGHT) / 2, y: H - 6, "text-anchor": "middle" }, svg).textContent = xLabel;
    make("text", { x: 12, y: (TOP + H - BOTTOM) / 2, "text-anchor": "middle", transform: `rotate(-90 12 ${(TOP + H - BOTTOM) / 2})` }, svg).textContent = yLabel;
    return { x, y };
  };
  const spread = (values) => {
    const low = Math.min(...values), high = Math.max(...values);
    const room = (high - low) * 0.06 || Math.abs(high) * 0.05 || 0.05;
    // Shares and variances do not go below 0.
    return [low >= 0 ? Math.max(0, low - room) : low - room, high + room];
  };
  const begin = (parent, label) => {
    parent.replaceChildren();
    return make("svg", { viewBox: `0 0 ${W} ${H}`, role: "group", "aria-label": label }, parent);
  };

  // Lines with bands and points: {label, colour, points: [{x, y, low, high, text}]}.
  const lines = (parent, label, series, xLabel, yLabel, format) => {
    const svg = begin(parent, label), all = series.flatMap((one) => one.points);
    if (!all.length) return;
    const xs = all.map((p) => p.x), ys = all.flatMap((p) => [p.y, p.low ?? p.y, p.high ?? p.y]);
    const { x, y } = frame(svg, [Math.min(...xs), Math.max(...xs)], spread(ys), xLabel, yLabel, format);
    for (const one of series) {
      const banded = one.points.filter((p) => p.low != null);
      if (banded.length > 1) {
        const edge = [...banded.map((p) => [p.x, p.high]), ...banded.reverse().map((p) => [p.x, p.low])];
        make("polygon", { points: edge.map(([a, b]) => `${x(a)},${y(b)}`).join(" "), fill: one.colour, opacity: 0.15 }, svg);
      }
      make("polyline", { points: one.points.map((p) => `${x(p.x)},${y(p.y)}`).join(" "), fill: "none", stroke: one.colour, "stroke-width": 2 }, svg);
      for (const p of one.points) {
        tell(make("circle", { cx: x(p.x), cy: y(p.y), r: 3.5, fill: one.colour }, svg), `${one.label}\n${p.text}`);
      }
    }
  };

  // A column of points for each arm, and its mean.
  const strip = (parent, label, arms) => {
    const svg = begin(parent, label), values = arms.flatMap((arm) => arm.scores.map((run) => run.score));
    if (!values.length) return;
    const names = arms.map((arm, i) => [i, arms.length > 6 ? String(i + 1) : arm.label.slice(0, 14)]);
    const { x, y } = frame(svg, [-0.5, arms.length - 0.5], spread(values), "", "test accuracy", (v) => (100 * v).toFixed(1) + " %", names);
    arms.forEach((arm, i) => {
      if (!arm.scores.length) return;
      const mean = arm.scores.reduce((sum, run) => sum + run.score, 0) / arm.scores.length;
      make("line", { x1: x(i - 0.3), x2: x(i + 0.3), y1: y(mean), y2: y(mean), stroke: colour(arm), "stroke-width": 3 }, svg);
      arm.scores.forEach((run, k) => {
        const aside = arm.scores.length > 1 ? 0.3 * ((k / (arm.scores.length - 1)) - 0.5) : 0;
        const mark = make("circle", { cx: x(i + aside), cy: y(run.score), r: 4, fill: colour(arm), "fill-opacity": 0.6, stroke: colour(arm) }, svg);
        tell(mark, `${arm.label}, seed ${run.seed}\n${percent(run.score)}`);
        if (run.url) {
          mark.style.cursor = "pointer";
          mark.addEventListener("click", () => open(run.url, "_blank", "noopener"));
        }
      });
    });
  };

  const DEPTH = {
    dead: ["dead units", (v) => (100 * v).toFixed(1) + " %"],
    zero: ["zero outputs", (v) => (100 * v).toFixed(0) + " %"],
    mean: ["mean of outputs", (v) => v.toFixed(2)],
    variance: ["variance of outputs", (v) => v.toFixed(2)],
  };

  const draw = () => {
    data.forEach((task, i) => {
      const arms = task.arms.filter((arm) => !hidden.has(arm.label));
      const place = (kind) => document.querySelector(`[data-plot="${kind}-${i}"]`);
      lines(place("curve"), "Validation accuracy over time", arms.map((arm) => ({
        label: arm.label, colour: colour(arm),
        points: arm.curve.map((p) => ({ x: p.step, y: p.mean, low: p.low, high: p.high, text: `step ${p.step}: ${percent(p.mean)}` })),
      })), "optimizer step", "validation accuracy", (v) => (100 * v).toFixed(0) + " %");
      strip(place("score"), "Test accuracy of every run", arms);
      for (const [kind, [name, format]] of Object.entries(DEPTH)) {
        lines(place(kind), name, arms.map((arm) => ({
          label: arm.label, colour: colour(arm),
          points: arm.sites.filter((s) => s[kind] != null).map((s) => ({ x: s.depth, y: s[kind], text: `${s.site}: ${format(s[kind])}` })),
        })), "depth of the activation site", name, format);
      }
    });
    for (const button of document.querySelectorAll(".toggle")) {
      button.setAttribute("aria-pressed", String(!hidden.has(button.dataset.arm)));
      button.querySelector("i").style.background = dark.matches ? button.dataset.dark : button.dataset.light;
    }
  };
  for (const button of document.querySelectorAll(".toggle")) {
    button.addEventListener("click", () => {
      const arm = button.dataset.arm;
      hidden.has(arm) ? hidden.delete(arm) : hidden.add(arm);
      draw();
    });
  }
  dark.addEventListener("change", draw);
  draw();

  // Tables sort by the number that a cell begins with, else by its text.
  const key = (cell) => {
    const text = cell.textContent.replace(/[\u00a0 ](?=\d{3})/g, "").replace("−", "-").replace("< ", "");
    const number = parseFloat(text);
    return Number.isNaN(number) ? text : number;
  };
  for (const header of document.querySelectorAll("th button")) {
    header.addEventListener("click", () => {
      const cell = header.parentElement, table = cell.closest("table"), body = table.tBodies[0];
      const up = cell.getAttribute("aria-sort") !== "ascending";
      for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", up ? "ascending" : "descending");
      const column = cell.cellIndex;
      const rows = [...body.rows].sort((a, b) => {
        const [p, q] = [key(a.cells[column]), key(b.cells[column])];
        if (typeof p !== typeof q) return typeof p === "number" ? -1 : 1;
        return (p < q ? -1 : p > q ? 1 : 0) * (up ? 1 : -1);
      });
      body.append(...rows);
    });
  }
})();
