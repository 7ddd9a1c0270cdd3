// The chart on the page: pick an arm, another beside it, a layer; point, or press the arrow keys, to read values.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("explorer-data").textContent);
  const get = (id) => document.getElementById(id);
  const [section, arm, other, series, chart, readout] =
    ["explorer", "arm", "other", "series", "chart", "readout"].map(get);
  const [width, height, left, bottom, top] = [720, 300, 56, 34, 12];
  let cursor = Infinity;  // A value on the horizontal axis; each curve is read at its own nearest one.

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
    return { name: found.name, n: found.n, series: wanted };
  });

  const scales = (lines) => {
    const numbers = lines.flatMap((line) => (line.series ? line.series.values.flat().filter(isNumber) : []));
    let [low, high] = numbers.length ? [Math.min(...numbers), Math.max(...numbers)] : [0, 1];
    if (high - low < 1e-6) [low, high] = [low - 0.5, high + 0.5];
    const labels = lines.flatMap((line) => (line.series ? line.series.x : []));
    const [first, last] = labels.length ? [Math.min(...labels), Math.max(...labels)] : [0, 1];
    const span = last - first || 1;
    return {
      low, high, first, last,
      x: (label) => left + ((label - first) / span) * (width - left - 12),
      y: (value) => top + (1 - (value - low) / (high - low)) * (height - top - bottom),
    };
  };

  const nearest = (labels, wanted) => labels.reduce((best, label, index) =>
    (Math.abs(label - wanted) < Math.abs(labels[best] - wanted) ? index : best), 0);
  const digits = (value) => (value !== 0 && Math.abs(value) < 0.01 ? value.toExponential(1) : value.toFixed(2));

  const axes = (scale, unit, axis) => {
    for (let step = 0; step <= 4; step += 1) {
      const value = scale.low + ((scale.high - scale.low) * step) / 4;
      const y = scale.y(value);
      chart.append(make("line", { x1: left, x2: width - 12, y1: y, y2: y, class: "grid" }));
      chart.append(make("text", { x: left - 6, y: y + 4, "text-anchor": "end" }, digits(value)));
      const label = Math.round((scale.first + ((scale.last - scale.first) * step) / 4) * 100) / 100;
      chart.append(make("text", { x: scale.x(label), y: height - 16, "text-anchor": "middle" }, label));
    }
    chart.append(make("text", { x: width / 2, y: height - 2, "text-anchor": "middle" }, axis));
    chart.append(make("text", { x: left + 6, y: top + 12, "text-anchor": "start" }, unit));
  };

  const path = (scale, labels, values, from) => {
    let pen = "M";
    return values.map((value, index) => {
      if (!isNumber(value)) { pen = "M"; return ""; }
      const point = `${pen}${scale.x(labels[from + index]).toFixed(1)} ${scale.y(value).toFixed(1)}`;
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
      const inside = index < labels.length && isNumber(low[index]) && isNumber(high[index]);
      if (inside && start === null) start = index;
      if (!inside && start !== null) {
        const there = path(scale, labels, high.slice(start, index), start);
        const back = low.slice(start, index).map((value, k) =>
          `L${scale.x(labels[start + k]).toFixed(1)} ${scale.y(value).toFixed(1)}`).reverse().join("");
        found.push(`${there}${back}Z`);
        start = null;
      }
    }
    return found.join("");
  };

  const say = (value) => (value === "-inf" ? "exactly zero" : isNumber(value) ? (value !== 0 && Math.abs(value) < 0.01 ? value.toExponential(2) : value.toFixed(3)) : "not finite");
  const draw = () => {
    const lines = shown();
    const scale = scales(lines);
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
      chart.append(make("path", { d: path(scale, labels, middle, 0), class: `median median${place}` }));
      if (isNumber(middle[at])) {
        chart.append(make("circle", { cx: scale.x(labels[at]), cy: scale.y(middle[at]), r: 4, class: `dot${place}` }));
      }
      sentences.push(`${line.name} (${place ? "dashed" : "solid"}, n = ${line.n}): median ${say(middle[at])}, ` +
        `central 80 % ${say(low[at])} to ${say(high[at])}`);
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
  // The labels of the curves that are shown, in order: the arrow keys go from one to the next.
  const marks = () => [...new Set(shown().flatMap((line) => (line.series ? line.series.x : [])))].sort((a, b) => a - b);
  for (const select of [arm, other, series]) select.addEventListener("change", draw);
  chart.addEventListener("pointermove", (event) => {
    const box = chart.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * width;
    const share = Math.min(Math.max((x - left) / (width - left - 12), 0), 1);
    const all = marks();
    if (!all.length) return;
    cursor = all[nearest(all, all[0] + share * (all[all.length - 1] - all[0]))];
    draw();
  });
  chart.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    const all = marks();
    if (step === undefined || !all.length) return;
    event.preventDefault();
    cursor = all[Math.min(Math.max(nearest(all, Math.min(cursor, all[all.length - 1])) + step, 0), all.length - 1)];
    draw();
  });
  section.hidden = false;
  draw();
})();
