// The chart on the page: pick an arm, another beside it, a layer; point, or press the arrow keys, to read values.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("explorer-data").textContent);
  const get = (id) => document.getElementById(id);
  const [section, arm, other, series, chart, readout] =
    ["explorer", "arm", "other", "series", "chart", "readout"].map(get);
  const [width, height, left, bottom, top] = [720, 300, 56, 34, 12];
  const epochs = data.epochs;
  let cursor = epochs.length - 1;

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
    const span = epochs[epochs.length - 1] - epochs[0] || 1;
    return {
      low, high,
      x: (epoch) => left + ((epoch - epochs[0]) / span) * (width - left - 12),
      y: (value) => top + (1 - (value - low) / (high - low)) * (height - top - bottom),
    };
  };

  const axes = (scale, unit) => {
    for (let step = 0; step <= 4; step += 1) {
      const value = scale.low + ((scale.high - scale.low) * step) / 4;
      const y = scale.y(value);
      chart.append(make("line", { x1: left, x2: width - 12, y1: y, y2: y, class: "grid" }));
      chart.append(make("text", { x: left - 6, y: y + 4, "text-anchor": "end" }, value.toFixed(2)));
      const epoch = epochs[Math.round(((epochs.length - 1) * step) / 4)];
      chart.append(make("text", { x: scale.x(epoch), y: height - 16, "text-anchor": "middle" }, epoch));
    }
    chart.append(make("text", { x: width / 2, y: height - 2, "text-anchor": "middle" }, "epoch"));
    chart.append(make("text", { x: left + 6, y: top + 12, "text-anchor": "start" }, unit));
  };

  const path = (scale, values, from) => {
    let pen = "M";
    return values.map((value, index) => {
      if (!isNumber(value)) { pen = "M"; return ""; }
      const point = `${pen}${scale.x(epochs[from + index]).toFixed(1)} ${scale.y(value).toFixed(1)}`;
      pen = "L";
      return point;
    }).join("");
  };

  // A band for each stretch of epochs in which its upper edge is a number and its lower one a number or zero, the floor.
  const bands = (scale, lowest, high) => {
    const low = lowest.map((value) => (value === "-inf" ? scale.low : value));
    const found = [];
    let start = null;
    for (let index = 0; index <= epochs.length; index += 1) {
      const inside = index < epochs.length && isNumber(low[index]) && isNumber(high[index]);
      if (inside && start === null) start = index;
      if (!inside && start !== null) {
        const there = path(scale, high.slice(start, index), start);
        const back = low.slice(start, index).map((value, k) =>
          `L${scale.x(epochs[start + k]).toFixed(1)} ${scale.y(value).toFixed(1)}`).reverse().join("");
        found.push(`${there}${back}Z`);
        start = null;
      }
    }
    return found.join("");
  };

  const say = (value) => (value === "-inf" ? "exactly zero" : isNumber(value) ? value.toFixed(3) : "not finite");
  const draw = () => {
    const lines = shown();
    const scale = scales(lines);
    chart.replaceChildren();
    axes(scale, (lines.find((line) => line.series) || { series: { unit: "" } }).series.unit);
    const sentences = [];
    lines.forEach((line, place) => {
      if (!line.series) {
        sentences.push(`${line.name} has no such layer`);
        return;
      }
      const [low, middle, high] = line.series.values;
      chart.append(make("path", { d: bands(scale, low, high), class: `band band${place}` }));
      chart.append(make("path", { d: path(scale, middle, 0), class: `median median${place}` }));
      if (isNumber(middle[cursor])) {
        chart.append(make("circle", { cx: scale.x(epochs[cursor]), cy: scale.y(middle[cursor]), r: 4, class: `dot${place}` }));
      }
      sentences.push(`${line.name} (${place ? "dashed" : "solid"}, n = ${line.n}): median ${say(middle[cursor])}, ` +
        `central 80 % ${say(low[cursor])} to ${say(high[cursor])}`);
    });
    const x = scale.x(epochs[cursor]);
    chart.append(make("line", { x1: x, x2: x, y1: top, y2: height - bottom, class: "cursor" }));
    readout.textContent = `Epoch ${epochs[cursor]}, ${series.value}. ${sentences.join(". ")}.`;
  };

  data.arms.forEach((one, place) => {
    option(arm, one.name, place);
    option(other, one.name, place);
  });
  other.value = data.arms.length > 1 ? "1" : "";
  const longest = data.arms.reduce((a, b) => (a.series.length >= b.series.length ? a : b));
  longest.series.forEach((one) => option(series, one.label, one.label));
  for (const select of [arm, other, series]) select.addEventListener("change", draw);
  chart.addEventListener("pointermove", (event) => {
    const box = chart.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * width;
    const share = Math.min(Math.max((x - left) / (width - left - 12), 0), 1);
    const wanted = epochs[0] + share * (epochs[epochs.length - 1] - epochs[0]);
    cursor = epochs.reduce((best, epoch, index) =>
      (Math.abs(epoch - wanted) < Math.abs(epochs[best] - wanted) ? index : best), 0);
    draw();
  });
  chart.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    cursor = Math.min(Math.max(cursor + step, 0), epochs.length - 1);
    draw();
  });
  section.hidden = false;
  draw();
})();
