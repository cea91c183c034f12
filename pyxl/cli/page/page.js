"use strict";
// Every text goes in as text: nothing that a file says can become markup.
const data = JSON.parse(document.getElementById("data").textContent);
const page = document.getElementById("page");

function make(tag, className, text, parent) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  if (parent) parent.append(element);
  return element;
}

function section(title) {
  const box = make("section", "", undefined, page);
  if (title) make("h2", "", title, box);
  return box;
}

function pairs(rows, className, parent) {
  const list = make("dl", className, undefined, parent);
  for (const [name, value] of rows) {
    const row = make("div", "", undefined, list);
    make("dt", "", name, row);
    make("dd", "", value, row);
  }
}

function table(columns, rows, parent) {
  const box = make("table", "", undefined, make("div", "scroll", undefined, parent));
  const head = make("tr", "", undefined, make("thead", "", undefined, box));
  for (const [name, kind] of columns) make("th", kind, name, head);
  const body = make("tbody", "", undefined, box);
  for (const row of rows) {
    const line = make("tr", "", undefined, body);
    row.forEach((value, at) => {
      const cell = make("td", columns[at][1], columns[at][1] === "layer" ? undefined : value, line);
      if (columns[at][1] === "layer") {
        make("i", "", undefined, cell).style.background = `var(--${value})`;
        cell.append(value);
      }
    });
  }
}

function bytes(count) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let at = 0;
  while (count >= 1024 && at < units.length - 1) { count /= 1024; at += 1; }
  return `${at && count < 100 ? count.toFixed(1) : Math.round(count)} ${units[at]}`;
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const PAGE = 4096;
const HEIGHT = 340;

function memory(map) {
  const box = section(map.title);
  const bar = make("div", "bar", undefined, box);
  const legend = make("div", "legend", undefined, bar);
  map.kinds.forEach(([name, pages], at) => {
    const item = make("span", "", undefined, legend);
    make("i", "", undefined, item).style.background = `var(--k${at})`;
    item.append(`${name} ${bytes(pages * PAGE)}`);
  });
  const absent = make("span", "", undefined, legend);
  make("i", "", undefined, absent).style.background = "var(--absent)";
  absent.append("absent");
  const button = (text, label, act) => {
    const made = make("button", "", text, bar);
    made.type = "button";
    made.setAttribute("aria-label", label);
    made.onclick = act;
    return made;
  };
  const canvas = make("canvas", "", undefined, box);
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Guest memory by address: ${legend.textContent}`);
  const where = make("i", "", undefined, make("div", "whole", undefined, box));
  const read = make("p", "read", "", box);

  // Cells of all regions one behind the other; where a region begins, a new row does.
  let total = 0;
  const regions = map.regions.map(([gfn, cells]) => {
    const region = { gfn, first: total, count: cells.length / 2, cells };
    total += region.count;
    return region;
  });
  if (!total) { canvas.remove(); read.textContent = "The file has no page of the guest."; return; }
  const size = 2 ** map.shift;
  const shares = (region, at) => {
    const word = letters.indexOf(region.cells[2 * at]) << 6 | letters.indexOf(region.cells[2 * at + 1]);
    return [word >> 8, word >> 4 & 15, word & 15];
  };
  let from = 0, to = total, squares = [], step = 1;

  function layout(width, height) {
    // The largest squares that fit; below 3 pixels several cells share one.
    const shown = regions.filter((each) => each.first < to && each.first + each.count > from);
    for (let side = 24, cells = 1; ; side > 3 ? side -= 1 : cells *= 2) {
      const columns = Math.max(1, Math.floor(width / side));
      let rows = 0;
      for (const each of shown) {
        const count = Math.min(to, each.first + each.count) - Math.max(from, each.first);
        rows += Math.ceil(Math.ceil(count / cells) / columns);
      }
      if (rows * side + 5 * (shown.length - 1) <= height) return { shown, side, cells, columns };
      if (cells > total) return { shown: shown.slice(0, 1), side, cells, columns };
    }
  }

  function colors() {
    const style = getComputedStyle(document.documentElement);
    return ["--k0", "--k1", "--k2", "--absent"].map((name) => {
      const hex = style.getPropertyValue(name).trim().slice(1);
      return [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16));
    });
  }

  function draw() {
    const width = canvas.clientWidth, ratio = window.devicePixelRatio || 1;
    const { shown, side, cells, columns } = layout(width, HEIGHT);
    squares = [];
    step = cells;
    let top = 0;
    for (const region of shown) {
      const first = Math.max(from, region.first) - region.first;
      const last = Math.min(to, region.first + region.count) - region.first;
      const bottom = top + Math.ceil(Math.ceil((last - first) / cells) / columns) * side;
      squares.push({ region, top, bottom, first, last, side, columns });
      top = bottom + 5;
    }
    canvas.style.height = `${top - 5}px`;
    canvas.width = width * ratio;
    canvas.height = (top - 5) * ratio;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const paint = colors();
    for (const { region, top, first, last } of squares) {
      let number = 0;
      for (let at = first; at < last; at += cells, number += 1) {
        const sum = [0, 0, 0];
        const end = Math.min(at + cells, last);
        for (let each = at; each < end; each += 1) shares(region, each).forEach((share, kind) => { sum[kind] += share; });
        const whole = Math.max(15 * (end - at), sum[0] + sum[1] + sum[2]);
        const parts = [...sum, whole - sum[0] - sum[1] - sum[2]];
        const mixed = [0, 1, 2].map((part) => Math.round(parts.reduce((had, share, kind) => had + share * paint[kind][part], 0) / whole));
        pen.fillStyle = `rgb(${mixed})`;
        const gap = side > 7 ? 1 : 0;
        pen.fillRect(number % columns * side, top + Math.floor(number / columns) * side, side - gap, side - gap);
      }
    }
    where.style.left = `${100 * from / total}%`;
    where.style.width = `${100 * (to - from) / total}%`;
    out.disabled = all.disabled = to - from >= total;
    left.disabled = from <= 0;
    right.disabled = to >= total;
    const ranges = squares.map(({ region, first, last }) => `${address(region, first)} to ${address(region, last)}`);
    read.textContent = `A square is ${size * step === 1 ? "one page" : bytes(size * step * PAGE)}. ${ranges.join(" · ")}`;
  }

  function address(region, cell) {
    return "0x" + ((region.gfn + cell * size) * PAGE).toString(16);
  }

  function under(event) {
    const box = canvas.getBoundingClientRect();
    const x = event.clientX - box.left, y = event.clientY - box.top;
    const block = squares.find((each) => y >= each.top && y < each.bottom);
    if (!block) return null;
    const row = Math.floor((y - block.top) / block.side), column = Math.floor(x / block.side);
    const at = block.first + (row * block.columns + column) * step;
    return column < block.columns && at < block.last ? { region: block.region, at } : null;
  }

  function show(start, length) {
    length = Math.min(total, Math.max(Math.min(64, total), Math.round(length)));
    from = Math.max(0, Math.min(total - length, Math.round(start)));
    to = from + length;
    draw();
  }

  function zoom(factor, cell) {
    const length = to - from;
    show(cell - (cell - from) * factor, length * factor);
  }

  const middle = () => (from + to) / 2;
  const left = button("◀", "lower addresses", () => show(from - (to - from) / 2, to - from));
  const right = button("▶", "higher addresses", () => show(from + (to - from) / 2, to - from));
  button("+", "zoom in", () => zoom(0.5, middle()));
  const out = button("−", "zoom out", () => zoom(2, middle()));
  const all = button("all", "show all memory", () => show(0, total));
  canvas.onclick = (event) => {
    const cell = under(event);
    if (cell) zoom(event.shiftKey ? 4 : 0.25, cell.region.first + cell.at);
  };
  canvas.onkeydown = (event) => {
    const act = { "+": () => zoom(0.5, middle()), "-": () => zoom(2, middle()), "0": () => show(0, total),
      ArrowLeft: () => left.click(), ArrowRight: () => right.click() }[event.key];
    if (act) { act(); event.preventDefault(); }
  };
  canvas.addEventListener("wheel", (event) => {
    const cell = event.ctrlKey && under(event);
    if (!cell) return;
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1.5 : 0.67, cell.region.first + cell.at);
  }, { passive: false });
  canvas.onpointermove = (event) => {
    const cell = under(event);
    if (!cell) return;
    const parts = shares(cell.region, cell.at);
    const gfn = cell.region.gfn + cell.at * size;
    const said = map.kinds.map(([name], kind) => [name, parts[kind]]).filter(([, share]) => share)
      .map(([name, share]) => share === 15 ? name : `${Math.round(100 * share / 15)} % ${name}`);
    read.textContent = `${address(cell.region, cell.at)}, gfn 0x${gfn.toString(16)}: ${said.join(", ") || "absent"}`;
  };
  canvas.onpointerleave = draw;
  new ResizeObserver(draw).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}

function timeline(strip, parent) {
  const box = make("div", "strip", undefined, parent);
  for (const [layer, name, size] of strip) {
    // By the logarithm: beside pages, nothing else would be seen.
    const piece = make("i", "", undefined, box);
    piece.style.flex = Math.log2(size + 2);
    piece.style.background = `var(--${layer})`;
    piece.title = `${name}, ${bytes(size)}`;
  }
}

const head = make("header", "", undefined, page);
make("h1", "", data.title, head);
make("p", "under", data.subtitle, head);
for (const [good, text] of data.verdicts) make("p", good ? "verdict" : "verdict bad", text, head);
document.title = `${data.title} – pyxl`;
pairs(data.facts, "", section(""));
if (data.map) memory(data.map);
for (const each of data.sections) {
  const box = section(each.title);
  if (each.strip) timeline(each.strip, box);
  if (each.text) make("p", "under", each.text, box);
  if (each.rows) table(each.columns, each.rows, box);
  for (const part of each.parts || []) {
    const more = make("details", "", undefined, box);
    more.open = Boolean(part.open);
    const line = make("summary", "", undefined, more);
    make("b", "", part.title, line);
    make("span", "mono", part.note, line);
    for (const [title, rows] of part.groups) {
      make("h3", "", title, more);
      pairs(rows, "narrow", more);
    }
  }
}
make("footer", "", data.footer, page);
