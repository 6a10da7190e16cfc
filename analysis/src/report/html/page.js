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
  const shade = (colour) => (dark.matches ? colour.dark : colour.light);

  const group = (x) => Math.abs(x).toFixed(0).replace(/\B(?=(\d{3})+$)/g, "\u00a0");
  // Where the numbers of an axis stand, and what they say: its own, or round ones.
  const ticks = (axis, [low, high]) => {
    if (axis.ticks) return axis.ticks.filter(([at]) => low <= at && at <= high);
    const { scale, unit } = axis;
    const [from, to] = [low * scale, high * scale];
    const rough = 10 ** Math.floor(Math.log10((to - from) / 4));
    const step = [1, 2, 5, 10].map((k) => k * rough).find((s) => (to - from) / s <= 6) || rough;
    const decimals = Math.max(0, -Math.floor(Math.log10(step)));
    const values = [];
    for (let i = Math.ceil(from / step - 1e-9); i * step <= to + 1e-9 * step; i++) {
      const value = i * step, text = decimals ? Math.abs(value).toFixed(decimals) : group(value);
      values.push([value / scale, (value < 0 ? "−" : "") + text + unit]);
    }
    return values;
  };
  const span = (axis, values) => {
    if (axis.range) return axis.range;
    if (!values.length) return [0, 1];
    const low = Math.min(...values), high = Math.max(...values);
    const room = (high - low) * 0.06 || Math.abs(high) * 0.05 || 0.05;
    // Shares and times do not go below 0.
    return [low >= 0 ? Math.max(0, low - room) : low - room, high + room];
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
  // A mark that tells its value to the pointer and a screen reader.
  const point = (mark, text) => {
    mark.setAttribute("role", "img");
    mark.setAttribute("aria-label", text);
    for (const name of ["pointerenter", "focus"]) mark.addEventListener(name, (event) => show(event, text));
    for (const name of ["pointerleave", "blur"]) mark.addEventListener(name, hide);
  };
  // One that the keyboard reaches, too.
  const tell = (mark, text) => {
    mark.setAttribute("tabindex", "0");
    point(mark, text);
  };

  const corners = (mark) => ({
    line: () => mark.points,
    band: () => mark.points.flatMap(([x, low, high]) => [[x, low], [x, high]]),
    dot: () => [mark.at],
    box: () => [mark.from, mark.to],
  })[mark.mark]().filter((point) => point.every((value) => value != null));

  const W = 480, RIGHT = 12, TOP = 10, BOTTOM = 42, LETTER = 6.6, LONGEST = 20;
  const MARKS = {
    line: (mark, colour, at, svg) => {
      make("polyline", { points: corners(mark).map((p) => at(p).join()).join(" "), fill: "none", stroke: colour, "stroke-width": mark.width }, svg);
    },
    band: (mark, colour, at, svg) => {
      const edge = [...mark.points.map(([x, , high]) => [x, high]), ...mark.points.map(([x, low]) => [x, low]).reverse()];
      make("polygon", { points: edge.map((p) => at(p).join()).join(" "), fill: colour, opacity: 0.15 }, svg);
    },
    dot: (mark, colour, at, svg, label) => {
      if (mark.at.some((value) => value == null)) return;
      const [cx, cy] = at(mark.at);
      const dot = make("circle", { cx, cy, r: 3.5, fill: colour }, svg);
      tell(dot, `${label}\n${mark.text}`);
      if (mark.url) {
        dot.style.cursor = "pointer";
        dot.addEventListener("click", () => open(mark.url, "_blank", "noopener"));
      }
    },
    box: (mark, colour, at, svg, label) => {
      if ([...mark.from, ...mark.to].some((value) => value == null)) return;
      const [a, b] = [at(mark.from), at(mark.to)];
      const box = make("rect", { x: Math.min(a[0], b[0]), y: Math.min(a[1], b[1]), width: Math.abs(a[0] - b[0]), height: Math.abs(a[1] - b[1]), fill: colour, "fill-opacity": mark.opacity }, svg);
      point(box, `${label}\n${mark.text}`);
    },
  };

  const plot = (one) => {
    const parent = document.querySelector(`[data-plot="${one.name}"]`);
    parent.replaceChildren();
    const series = one.series.filter((s) => s.label == null || !hidden.has(s.label));
    const marks = series.flatMap((s) => s.marks);
    const all = marks.flatMap(corners);
    const spans = [one.x, one.y].map((axis, i) => span(axis, all.map((p) => p[i])));
    const rows = ticks(one.y, spans[1]).map(([v, text]) => [v, text.length > LONGEST ? text.slice(0, LONGEST - 1) + "…" : text]);
    const named = one.y.format === "nothing";
    const H = named ? Math.max(150, BOTTOM + TOP + 34 * one.y.ticks.length) : 300;
    const left = 14 + (one.y.label ? 16 : 0) + LETTER * Math.max(0, ...rows.map(([, text]) => text.length));
    const svg = make("svg", { viewBox: `0 0 ${W} ${H}`, role: "group", "aria-label": one.title }, parent);
    const part = (v, [low, high]) => (high > low ? Math.min(1, Math.max(0, (v - low) / (high - low))) : 0.5);
    const x = (v) => left + (W - left - RIGHT) * part(v, spans[0]);
    const y = (v) => H - BOTTOM - (H - TOP - BOTTOM) * part(v, spans[1]);
    for (const [v, text] of rows) {
      make("line", { class: "grid", x1: left, x2: W - RIGHT, y1: y(v), y2: y(v) }, svg);
      make("text", { x: left - 6, y: y(v) + 4, "text-anchor": "end" }, svg).textContent = text;
    }
    let end = -Infinity;
    for (const [v, text] of ticks(one.x, spans[0])) {
      const half = (LETTER * text.length) / 2;
      if (x(v) - half <= end) continue;
      end = x(v) + half + 8;
      make("text", { x: x(v), y: H - BOTTOM + 16, "text-anchor": "middle" }, svg).textContent = text;
    }
    make("line", { class: "axis", x1: left, x2: W - RIGHT, y1: H - BOTTOM, y2: H - BOTTOM }, svg);
    make("text", { x: (left + W - RIGHT) / 2, y: H - 6, "text-anchor": "middle" }, svg).textContent = one.x.label;
    const middle = (TOP + H - BOTTOM) / 2;
    make("text", { x: 12, y: middle, "text-anchor": "middle", transform: `rotate(-90 12 ${middle})` }, svg).textContent = one.y.label;
    for (const s of series) {
      for (const mark of s.marks) MARKS[mark.mark](mark, shade(s.colour), ([a, b]) => [x(a), y(b)], svg, s.label ?? "");
    }
  };

  const draw = () => {
    data.forEach(plot);
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
