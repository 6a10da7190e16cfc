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
    const decimals = Math.min(12, Math.max(0, -Math.floor(Math.log10(step))));
    const largest = Math.max(Math.abs(from), Math.abs(to));
    const digits = Math.min(12, Math.max(1, Math.ceil(Math.log10(largest / step))));
    const values = [];
    for (let i = Math.ceil(from / step - 1e-9); i * step <= to + 1e-9 * step; i++) {
      const value = i * step, size = Math.abs(value);
      const text = largest >= 1e7 ? size.toExponential(digits).replace("+", "") : decimals ? size.toFixed(decimals) : group(value);
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
    mark.addEventListener("pointerenter", (event) => show(event, text));
    mark.addEventListener("pointerleave", hide);
  };
  const corners = (mark) => ({
    line: () => mark.points,
    curve: () => mark.points,
    band: () => mark.points.flatMap(([x, low, high]) => [[x, low], [x, high]]),
    dot: () => [mark.at],
    spot: () => [mark.at],
    label: () => [mark.at],
    box: () => [mark.from, mark.to],
  })[mark.mark]().filter((point) => point.every((value) => value != null));

  // Text is as large as on the rest of the page: a drawing has the pixels of its place.
  const RIGHT = 14, TOP = 10, LINE = 16;
  const pen = document.createElement("canvas").getContext("2d");
  if (pen) pen.font = "12px system-ui, sans-serif";
  // Some browsers keep canvases to themselves.
  const measure = (text) => (pen ? pen.measureText(text).width : 7 * text.length);
  const DASHES = ["", "7 3", "2.5 2.5", "8 3 2 3"];
  // Corners of markers of radius 1; the first is a circle.
  const MARKERS = [
    null,
    [[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]],
    [[0, -1.2], [1.1, 0.8], [-1.1, 0.8]],
    [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]],
    [[0, 1.2], [1.1, -0.8], [-1.1, -0.8]],
    [[-0.4, -1.2], [0.4, -1.2], [0.4, -0.4], [1.2, -0.4], [1.2, 0.4], [0.4, 0.4], [0.4, 1.2], [-0.4, 1.2], [-0.4, 0.4], [-1.2, 0.4], [-1.2, -0.4], [-0.4, -0.4]],
  ];
  const symbol = ([x, y], kind, r, colour, parent) => {
    const shape = MARKERS[kind % MARKERS.length];
    if (!shape) return make("circle", { cx: x, cy: y, r, fill: colour }, parent);
    return make("polygon", { points: shape.map(([dx, dy]) => `${x + r * dx},${y + r * dy}`).join(" "), fill: colour }, parent);
  };
  const MARKS = {
    line: (mark, series, at, svg) => {
      make("polyline", { class: "under", points: corners(mark).map((p) => at(p).join()).join(" "), fill: "none", stroke: shade(series.colour), "stroke-width": mark.width }, svg);
    },
    curve: (mark, series, at, svg) => {
      make("polyline", { class: "under", points: corners(mark).map((p) => at(p).join()).join(" "), fill: "none", stroke: shade(series.colour), "stroke-width": mark.width, "stroke-dasharray": DASHES[series.dash] }, svg);
    },
    band: (mark, series, at, svg) => {
      const edge = [...mark.points.map(([x, , high]) => [x, high]), ...mark.points.map(([x, low]) => [x, low]).reverse()];
      make("polygon", { class: "under", points: edge.map((p) => at(p).join()).join(" "), fill: shade(series.colour), opacity: 0.15 }, svg);
    },
    dot: (mark, series, at, svg) => {
      if (mark.at.some((value) => value == null)) return;
      const place = at(mark.at);
      symbol(place, series.marker, 3.5, shade(series.colour), svg).setAttribute("class", "under");
      MARKS.spot(mark, series, at, svg);
    },
    label: (mark, series, at, svg) => {
      if (mark.at.some((value) => value == null)) return;
      const [x, y] = at(mark.at), size = measure(mark.text), fits = x + 7 + size <= svg.right;
      const left = fits ? x + 7 : x - 7 - size;
      // Names do not overlap: points have the others.
      const clear = svg.labels.every(([l, r, middle]) => left > r || l > left + size || Math.abs(y - middle) > LINE);
      if (!clear) return;
      svg.labels.push([left, left + size, y]);
      const words = make("text", { class: "under", x: fits ? x + 7 : x - 7, y: y - 8, dy: "0.36em", "text-anchor": fits ? "start" : "end" }, svg);
      words.textContent = mark.text;
    },
    // What a finger or a pointer hits is larger than what is seen.
    spot: (mark, series, at, svg) => {
      if (mark.at.some((value) => value == null)) return;
      const [cx, cy] = at(mark.at);
      const spot = make("circle", { class: "spot", cx, cy, r: 8 }, svg.spots);
      point(spot, `${series.label ?? ""}\n${mark.text}`);
      if (mark.url) {
        spot.style.cursor = "pointer";
        spot.addEventListener("click", () => open(mark.url, "_blank", "noopener"));
      }
    },
    box: (mark, series, at, svg) => {
      if ([...mark.from, ...mark.to].some((value) => value == null)) return;
      const [a, b] = [at(mark.from), at(mark.to)];
      const box = make("rect", { x: Math.min(a[0], b[0]), y: Math.min(a[1], b[1]), width: Math.abs(a[0] - b[0]), height: Math.abs(a[1] - b[1]), fill: shade(series.colour), "fill-opacity": mark.opacity }, svg);
      point(box, series.label == null ? mark.text : `${series.label}\n${mark.text}`);
    },
  };
  // `text` in lines of at most `width` pixels, words whole where they fit.
  const lines = (text, width) => {
    const fits = (line) => measure(line) <= width, all = [];
    for (const word of text.split(" ").filter(Boolean)) {
      if (all.length && fits(all.at(-1) + " " + word)) { all.push(all.pop() + " " + word); continue; }
      let line = "";
      for (const letter of word) {
        if (line && !fits(line + letter)) { all.push(line); line = ""; }
        line += letter;
      }
      all.push(line);
    }
    return all;
  };
  const write = (texts, x, y, anchor, parent, turn) => {
    texts.forEach((text, row) => {
      const at = y + LINE * (row - (texts.length - 1) / 2);
      const attributes = turn
        ? { x: x + LINE * row, y, transform: `rotate(-90 ${x + LINE * row} ${y})` }
        : { x, y: at };
      make("text", { ...attributes, dy: "0.36em", "text-anchor": anchor }, parent).textContent = text;
    });
  };

  const plot = (one) => {
    const parent = document.querySelector(`[data-plot="${one.name}"]`);
    parent.replaceChildren();
    const W = Math.max(260, parent.clientWidth || 480);
    const series = one.series.filter((s) => s.label == null || !hidden.has(s.label));
    const marks = series.flatMap((s) => s.marks);
    const all = marks.flatMap(corners);
    const spans = [one.x, one.y].map((axis, i) => span(axis, all.map((p) => p[i])));
    const rows = ticks(one.y, spans[1]).map(([v, text]) => [v, lines(text, 0.45 * W)]);
    const named = one.y.format === "nothing";
    const inner = named
      ? Math.max(100, one.y.ticks.length * Math.max(34, LINE * Math.max(...rows.map(([, texts]) => texts.length))))
      : Math.max(220, Math.min(300, 0.5 * W));
    const side = one.y.label ? lines(one.y.label, inner) : [];
    const left = 8 + LINE * side.length + Math.max(0, ...rows.flatMap(([, texts]) => texts.map(measure))) + 10;
    const floor = lines(one.x.label, W);
    const bottom = TOP + inner, below = bottom + 26 + LINE * floor.length;
    // The legend is part of the drawing, so that a print has it.
    const legend = named ? [] : series.filter((s) => s.label != null && s.marks.length);
    const places = [];
    let [px, py] = [8, below + 10];
    for (const s of legend) {
      const size = 44 + measure(s.label);
      if (px + size > W && px > 8) [px, py] = [8, py + LINE + 2];
      places.push([px, py]);
      px += size;
    }
    const H = legend.length ? py + 14 : below + 4;
    const svg = make("svg", { viewBox: `0 0 ${W} ${H}`, role: "group", "aria-label": one.title, tabindex: 0 }, parent);
    const part = (v, [low, high]) => (high > low ? Math.min(1, Math.max(0, (v - low) / (high - low))) : 0.5);
    const x = (v) => left + (W - left - RIGHT) * part(v, spans[0]);
    const y = (v) => bottom - (bottom - TOP) * part(v, spans[1]);
    for (const [v, texts] of rows) {
      make("line", { class: "grid", x1: left, x2: W - RIGHT, y1: y(v), y2: y(v) }, svg);
      write(texts, left - 6, y(v), "end", svg);
    }
    let end = -Infinity;
    for (const [v, text] of ticks(one.x, spans[0])) {
      const half = measure(text) / 2;
      if (x(v) - half <= end || x(v) + half > W) continue;
      end = x(v) + half + 8;
      make("line", { class: "grid", x1: x(v), x2: x(v), y1: TOP, y2: bottom }, svg);
      write([text], x(v), bottom + 13, "middle", svg);
    }
    make("line", { class: "axis", x1: left, x2: W - RIGHT, y1: bottom, y2: bottom }, svg);
    const widest = Math.max(0, ...floor.map(measure)) / 2;
    const middle = Math.min(Math.max((left + W - RIGHT) / 2, widest), Math.max(widest, W - widest));
    write(floor, middle, bottom + 26 + (LINE * floor.length) / 2, "middle", svg);
    write(side, 12, (TOP + bottom) / 2, "middle", svg, true);
    const group = make("g", {}, svg);
    [group.right, group.labels] = [W - RIGHT, []];
    // Places to point at lie above everything drawn.
    group.spots = make("g", {}, svg);
    for (const s of series) {
      for (const mark of s.marks) MARKS[mark.mark](mark, s, ([a, b]) => [x(a), y(b)], group);
    }
    legend.forEach((s, i) => {
      const [lx, ly] = places[i], key = make("g", { class: "key" }, svg);
      make("line", { x1: lx, x2: lx + 26, y1: ly, y2: ly, stroke: shade(s.colour), "stroke-width": 2.5, "stroke-dasharray": DASHES[s.dash] }, key);
      symbol([lx + 13, ly], s.marker, 4, shade(s.colour), key);
      write([s.label], lx + 32, ly, "start", key);
    });
    // One stop of the keyboard a plot: arrows go from point to point.
    let current = -1;
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      const spots = [...group.spots.children];
      if (!step || !spots.length) return;
      event.preventDefault();
      current = (current + step + spots.length) % spots.length;
      const spot = spots[current];
      show({ target: spot }, spot.getAttribute("aria-label"));
    });
    svg.addEventListener("blur", hide);
  };

  const draw = () => {
    // A plot that fails costs none of the others.
    data.forEach((one, i) => {
      try { plot(one, i); } catch (error) { console.error(error); }
    });
    for (const button of document.querySelectorAll(".toggle")) {
      button.setAttribute("aria-pressed", String(!hidden.has(button.dataset.arm)));
      const { light, dark: night, dash, marker } = button.dataset;
      const sample = button.querySelector("i");
      sample.replaceChildren();
      const svg = make("svg", { viewBox: "0 0 26 12" }, sample), colour = dark.matches ? night : light;
      make("line", { x1: 0, x2: 26, y1: 6, y2: 6, stroke: colour, "stroke-width": 2.5, "stroke-dasharray": DASHES[dash] }, svg);
      symbol([13, 6], Number(marker), 4, colour, svg);
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
  let wide = innerWidth;
  addEventListener("resize", () => {
    // A phone's bars come and go, and change the height alone.
    if (wide !== innerWidth) { wide = innerWidth; draw(); }
  });
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
