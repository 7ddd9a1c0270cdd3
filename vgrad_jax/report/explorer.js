// The chart on the page: pick an arm, another beside it, what to draw, a single run; point or press keys to read values.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("explorer-data").textContent);
  const get = (id) => document.getElementById(id);
  const [section, arm, other, series, seed, log, whole, chart, readout] =
    ["explorer", "arm", "other", "series", "seed", "log", "whole", "chart", "readout"].map(get);
  const [height, left, right, bottom, top] = [300, 58, 14, 36, 12];
  let width = 720;  // Of the chart in pixels: letters are as large on a narrow page.
  let cursor = Infinity;  // A value on the horizontal axis; each curve is read at its own nearest one.
  let zoom = null;  // The part of the horizontal axis that is shown; null is all of it.
  let pressed = null;  // Where a drag began.

  const make = (name, attributes, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const option = (select, label, value) => {
    const element = document.createElement("option");
    element.textContent = label;
    element.value = value;
    select.append(element);
  };
  const isNumber = (value) => typeof value === "number";
  const shown = () => [arm.value, other.value].filter((name) => name !== "").map((name) => {
    const found = data.arms[Number(name)];
    const wanted = found.series.find((one) => one.label === series.value);
    const place = seed.value === "" ? -1 : found.seeds.findIndex((one) => one.seed === Number(seed.value));
    return { name: found.name, n: found.n, series: wanted, run: wanted && place >= 0 ? wanted.runs[place] : null };
  });

  // Round numbers on an axis: steps of 1, 2 or 5 times a power of ten.
  const step = (span, count) => {
    const size = 10 ** Math.floor(Math.log10(span / count));
    return [1, 2, 5, 10].map((one) => one * size).find((one) => span / one <= count) ?? 10 * size;
  };
  const multiples = (low, high, size) => {
    const found = [];
    for (let k = Math.ceil(low / size - 1e-9); k <= Math.floor(high / size + 1e-9); k += 1) found.push(k * size);
    return found;
  };
  // Marks of the vertical axis, and its ends, which are marks too.
  const vertical = (low, high, isLog) => {
    if (isLog) {
      const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
      const every = Math.max(1, Math.ceil((last - first) / 6));
      const marks = multiples(first, Math.max(last, first + 1), every);
      return { ends: [marks[0], Math.max(last, first + 1)], marks };
    }
    const size = step(high - low, 5);
    const ends = [Math.floor(low / size + 1e-9) * size, Math.ceil(high / size - 1e-9) * size];
    return { ends, marks: multiples(...ends, size) };
  };

  const inside = (label) => zoom === null || (label >= zoom[0] && label <= zoom[1]);
  const drawnNumbers = (lines) => lines.flatMap((line) => (line.series
    ? [...line.series.values, ...(line.run ? [line.run] : [])]
      .flatMap((values) => values.filter((value, index) => isNumber(value) && inside(line.series.x[index])))
    : []));
  const scales = (lines) => {
    const numbers = drawnNumbers(lines);
    const canLog = numbers.length > 0 && Math.min(...numbers) > 0;
    const isLog = log.checked && canLog;
    let [low, high] = numbers.length ? [Math.min(...numbers), Math.max(...numbers)] : [0, 1];
    if (high - low < 1e-6 * Math.max(1, Math.abs(high)) && !isLog) [low, high] = [low - 0.5, high + 0.5];
    const { ends, marks } = vertical(low, high, isLog);
    const labels = lines.flatMap((line) => (line.series ? line.series.x : []));
    const all = labels.length ? [Math.min(...labels), Math.max(...labels)] : [0, 1];
    const [first, last] = zoom ?? all;
    const span = last - first || 1;
    const place = (value) => (isLog ? Math.log10(value) : value);
    return {
      first, last, all, marks, isLog, canLog,
      low: isLog ? 10 ** ends[0] : ends[0],
      x: (label) => left + ((label - first) / span) * (width - left - right),
      y: (value) => top + (1 - (place(value) - ends[0]) / (ends[1] - ends[0])) * (height - top - bottom),
      label: (x) => first + Math.min(Math.max((x - left) / (width - left - right), 0), 1) * span,
    };
  };

  const nearest = (labels, wanted) => labels.reduce((best, label, index) =>
    (Math.abs(label - wanted) < Math.abs(labels[best] - wanted) ? index : best), 0);
  const plain = (value) => String(Number(value.toPrecision(6)));

  const axes = (scale, unit, axis) => {
    for (const mark of scale.marks) {
      const y = scale.y(scale.isLog ? 10 ** mark : mark);
      chart.append(make("line", { x1: left, x2: width - right, y1: y, y2: y, class: "grid" }));
      const text = scale.isLog ? (Math.abs(mark) <= 3 ? plain(10 ** mark) : `1e${mark}`) : plain(mark);
      chart.append(make("text", { x: left - 6, y: y + 4, "text-anchor": "end" }, text));
    }
    const span = scale.last - scale.first;
    for (const mark of span > 0 ? multiples(scale.first, scale.last, step(span, width < 500 ? 4 : 8)) : [scale.first]) {
      chart.append(make("text", { x: scale.x(mark), y: height - 18, "text-anchor": "middle" }, plain(mark)));
    }
    chart.append(make("text", { x: width / 2, y: height - 3, "text-anchor": "middle" }, axis));
    chart.append(make("text", { x: left + 6, y: top + 12, "text-anchor": "start" }, unit));
  };

  // Only what is within the zoom is drawn, since a curve beside it would leave the chart.
  const path = (scale, labels, values) => {
    let pen = "M";
    return values.map((value, index) => {
      if (!isNumber(value) || !inside(labels[index])) { pen = "M"; return ""; }
      const point = `${pen}${scale.x(labels[index]).toFixed(1)} ${scale.y(value).toFixed(1)}`;
      pen = "L";
      return point;
    }).join("");
  };

  // A band for each stretch in which its upper edge is a number and its lower one a number or zero, the floor.
  const bands = (scale, labels, lowest, high) => {
    const low = lowest.map((value) => (value === "-inf" ? scale.low : value));
    const found = [];
    let start = null;
    for (let index = 0; index <= labels.length; index += 1) {
      const within = index < labels.length && isNumber(low[index]) && isNumber(high[index]) && inside(labels[index]);
      if (within && start === null) start = index;
      if (!within && start !== null) {
        const point = (values) => (k) => `${scale.x(labels[k]).toFixed(1)} ${scale.y(values[k]).toFixed(1)}`;
        const places = Array.from({ length: index - start }, (_, k) => start + k);
        found.push(`M${places.map(point(high)).join("L")}L${places.reverse().map(point(low)).join("L")}Z`);
        start = null;
      }
    }
    return found.join("");
  };

  const say = (value) => (value === "-inf" ? "exactly zero" : isNumber(value)
    ? (value !== 0 && Math.abs(value) < 0.01 ? value.toExponential(2) : value.toFixed(3)) : "not finite");
  let scale = null;
  const draw = () => {
    width = Math.max(chart.clientWidth || 720, 280);
    chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const lines = shown();
    scale = scales(lines);
    log.disabled = !scale.canLog;
    whole.hidden = zoom === null;
    chart.replaceChildren();
    const drawn = lines.filter((line) => line.series).map((line) => line.series);
    const axis = [...new Set(drawn.map((one) => one.axis))].join(" or ") || "epoch";
    axes(scale, drawn.length ? drawn[0].unit : "", axis);
    const label = Math.min(Math.max(cursor, scale.first), scale.last);
    const sentences = [];
    lines.forEach((line, place) => {
      if (!line.series) {
        sentences.push(`${line.name} has no such curve`);
        return;
      }
      const { x: labels, values: [low, middle, high] } = line.series;
      const at = nearest(labels, label);
      chart.append(make("path", { d: bands(scale, labels, low, high), class: `band band${place}` }));
      chart.append(make("path", { d: path(scale, labels, middle), class: `median median${place}` }));
      if (line.run) chart.append(make("path", { d: path(scale, labels, line.run), class: `run run${place}` }));
      if (isNumber(middle[at]) && inside(labels[at])) {
        chart.append(make("circle", { cx: scale.x(labels[at]), cy: scale.y(middle[at]), r: 4, class: `dot${place}` }));
      }
      const run = line.run ? `, run of seed ${seed.value} (dotted) ${say(line.run[at])}` : "";
      sentences.push(`${line.name} (${place ? "dashed" : "solid"}, n = ${line.n}): median ${say(middle[at])}, ` +
        `central 80 % ${say(low[at])} to ${say(high[at])}${run}`);
    });
    const x = scale.x(label);
    chart.append(make("line", { x1: x, x2: x, y1: top, y2: height - bottom, class: "cursor" }));
    const name = axis[0].toUpperCase() + axis.slice(1);
    readout.textContent = `${name} ${Math.round(label * 100) / 100}, ${series.value}. ${sentences.join(". ")}.`;
  };

  if (!data.arms.length) return;
  data.arms.forEach((one, place) => {
    option(arm, one.name, place);
    option(other, one.name, place);
  });
  other.value = data.arms.length > 1 ? "1" : "";
  const labels = [...data.arms].sort((a, b) => b.series.length - a.series.length)
    .flatMap((one) => one.series.map((line) => line.label));
  [...new Set(labels)].forEach((label) => option(series, label, label));
  // The runs that the first arm has on the page, and how they ended there.
  const offer = () => {
    const kept = seed.value;
    seed.replaceChildren();
    option(seed, "none", "");
    for (const one of data.arms[Number(arm.value)].seeds) {
      option(seed, `seed ${one.seed}: ${one.outcome}`, one.seed);
    }
    seed.value = [...seed.options].some((one) => one.value === kept) ? kept : "";
  };
  offer();
  // The labels of the curves that are shown, in order: the arrow keys go from one to the next.
  const marks = () => [...new Set(shown().flatMap((line) => (line.series ? line.series.x : [])))]
    .filter(inside).sort((a, b) => a - b);
  const show = (ends) => {
    const all = scale.all;
    const cut = ends && [Math.max(ends[0], all[0]), Math.min(ends[1], all[1])];
    zoom = cut && cut[1] - cut[0] < all[1] - all[0] ? cut : null;
    if (zoom && marks().length < 2) zoom = null;
    draw();
  };
  arm.addEventListener("change", offer);
  for (const select of [arm, other, series]) {
    select.addEventListener("change", () => { zoom = null; draw(); });
  }
  for (const control of [seed, log]) control.addEventListener("change", draw);
  whole.addEventListener("click", () => show(null));
  const at = (event) => {
    const box = chart.getBoundingClientRect();
    return ((event.clientX - box.left) / box.width) * width;
  };
  chart.addEventListener("pointermove", (event) => {
    const all = marks();
    if (!all.length) return;
    cursor = all[nearest(all, scale.label(at(event)))];
    draw();
    if (pressed !== null) {
      const [from, to] = [pressed, at(event)].sort((a, b) => a - b);
      chart.append(make("rect", { x: from, y: top, width: to - from, height: height - top - bottom, class: "chosen" }));
    }
  });
  chart.addEventListener("pointerdown", (event) => { pressed = at(event); });
  chart.addEventListener("pointerup", (event) => {
    const ends = [pressed, at(event)];
    pressed = null;
    if (Math.abs(ends[1] - ends[0]) > 10) show(ends.sort((a, b) => a - b).map(scale.label));
  });
  for (const name of ["pointerleave", "pointercancel"]) {
    chart.addEventListener(name, () => { pressed = null; draw(); });
  }
  chart.addEventListener("dblclick", () => show(null));
  chart.addEventListener("keydown", (event) => {
    const factor = { "+": 0.5, "=": 0.5, "-": 2 }[event.key];
    if (factor || event.key === "Escape") {
      const middle = Math.min(Math.max(cursor, scale.first), scale.last);
      const reach = ((scale.last - scale.first) / 2) * (factor ?? 1);
      event.preventDefault();
      show(factor ? [middle - reach, middle + reach] : null);
      return;
    }
    const moved = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    const all = marks();
    if (moved === undefined || !all.length) return;
    event.preventDefault();
    cursor = all[Math.min(Math.max(nearest(all, Math.min(cursor, all[all.length - 1])) + moved, 0), all.length - 1)];
    draw();
  });
  addEventListener("resize", draw);
  section.hidden = false;
  draw();
})();
