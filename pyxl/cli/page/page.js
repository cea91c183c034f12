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
  for (const [name, kind] of columns) make("th", kind, name, head).scope = "col";
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
  return `${count < 100 && count % 1 ? count.toFixed(1) : Math.round(count)} ${units[at]}`;
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const PAGE = 4096;
const HEIGHT = 340;
const GAP = 5;
const LEAST = 64;

function memory(map) {
  const box = section(map.title);
  const bar = make("div", "bar", undefined, box);
  const legend = make("div", "legend", undefined, bar);
  const kind = (name, color, text) => {
    const item = make("span", "", undefined, legend);
    make("i", "", undefined, item).style.background = `var(${color})`;
    make("b", "", name, item);
    item.append(text);
  };
  map.kinds.forEach(([name, pages], at) => kind(name, `--k${at}`, ` ${bytes(pages * PAGE)}`));
  kind("absent", "--absent", "");
  const button = (text, label, act) => {
    const made = make("button", "", text, bar);
    made.type = "button";
    made.title = label;
    made.setAttribute("aria-label", label);
    made.onclick = act;
    return made;
  };
  const canvas = make("canvas", "", undefined, box);
  const whole = make("div", "whole", undefined, box);
  const where = make("i", "", undefined, whole);
  const read = make("p", "read", "", box);
  read.setAttribute("role", "status");
  const keys = make("p", "read keys", "", box);

  // Cells of all regions one behind the other; where a region begins, a new row does.
  let total = 0;
  const regions = map.regions.map(([gfn, cells]) => {
    const words = Uint16Array.from({ length: cells.length / 2 },
      (_, at) => letters.indexOf(cells[2 * at]) << 6 | letters.indexOf(cells[2 * at + 1]));
    const region = { gfn, first: total, count: words.length, words };
    total += region.count;
    return region;
  });
  if (!total) {
    for (const each of [canvas, whole, keys]) each.remove();
    read.textContent = "The file has no page of the guest.";
    return;
  }
  const size = 2 ** map.shift;
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
      if (rows * side + GAP * (shown.length - 1) <= height) return { shown, side, cells, columns };
      if (cells > total) return { shown: shown.slice(0, 1), side, cells, columns };
    }
  }

  function shares(region, first, last) {
    // How much of these cells is of each kind, and absent; a share is rounded up, so the sum may be more than all.
    const sum = [0, 0, 0];
    for (let at = first; at < last; at += 1) {
      const word = region.words[at];
      sum[0] += word >> 8;
      sum[1] += word >> 4 & 15;
      sum[2] += word & 15;
    }
    const there = sum[0] + sum[1] + sum[2], all = Math.max(15 * (last - first), there);
    return [...sum, all - there].map((share) => share / all);
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
      top = bottom + GAP;
    }
    canvas.style.height = `${top - GAP}px`;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round((top - GAP) * ratio);
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const paint = colors(), gap = side > 7 ? 1 : 0;
    for (const { region, top, first, last } of squares) {
      let number = 0;
      for (let at = first; at < last; at += cells, number += 1) {
        const parts = shares(region, at, Math.min(at + cells, last));
        const mixed = [0, 1, 2].map((color) => Math.round(parts.reduce((had, share, each) => had + share * paint[each][color], 0)));
        pen.fillStyle = `rgb(${mixed})`;
        pen.fillRect(number % columns * side, top + Math.floor(number / columns) * side, side - gap, side - gap);
      }
    }
    where.style.left = `${100 * from / total}%`;
    where.style.width = `${100 * (to - from) / total}%`;
    out.disabled = all.disabled = to - from >= total;
    closer.disabled = to - from <= Math.min(LEAST, total);
    left.disabled = from <= 0;
    right.disabled = to >= total;
    tell();
  }

  function tell() {
    const ranges = squares.map(({ region, first, last }) => `${hex((region.gfn + first * size) * PAGE)} to ${hex((region.gfn + last * size) * PAGE)}`);
    read.textContent = `A square is ${size * step === 1 ? "one page" : bytes(size * step * PAGE)}. Shown: ${ranges.join(" · ")}`;
    const shown = squares.map(({ region, first, last }) => shares(region, first, last).concat(last - first));
    const cells = shown.reduce((had, each) => had + each[4], 0);
    const parts = named([0, 1, 2, 3].map((at) => shown.reduce((had, each) => had + each[at] * each[4], 0) / cells));
    canvas.setAttribute("aria-label", `Picture of the guest's memory, ${ranges.join(" and ")}: ${parts}`);
  }

  function hex(number) {
    return "0x" + number.toString(16);
  }

  function named(parts) {
    const names = [...map.kinds.map(([name]) => name), "absent"];
    return parts.map((share, at) => [share, names[at]]).filter(([share]) => share > 0)
      .map(([share, name]) => share === 1 ? name : `${Math.max(1, Math.round(100 * share))} % ${name}`).join(", ");
  }

  function under(event) {
    const box = canvas.getBoundingClientRect();
    const x = event.clientX - box.left, y = event.clientY - box.top;
    const block = squares.find((each) => y >= each.top && y < each.bottom);
    if (!block) return null;
    const row = Math.floor((y - block.top) / block.side), column = Math.floor(x / block.side);
    const at = block.first + (row * block.columns + column) * step;
    return column < block.columns && at < block.last ? { region: block.region, at, end: Math.min(at + step, block.last) } : null;
  }

  function show(start, length) {
    length = Math.min(total, Math.max(Math.min(LEAST, total), Math.round(length)));
    start = Math.max(0, Math.min(total - length, Math.round(start)));
    const moves = start !== from || start + length !== to;
    from = start;
    to = start + length;
    if (moves) draw();
    return moves;
  }

  function zoom(factor, cell) {
    const length = to - from;
    return show(cell - (cell - from) * factor, length * factor);
  }

  const middle = () => (from + to) / 2;
  const move = (cells) => show(from + cells, to - from);
  const left = button("◀", "lower addresses", () => move((from - to) / 2));
  const right = button("▶", "higher addresses", () => move((to - from) / 2));
  const closer = button("+", "zoom in", () => zoom(0.5, middle()));
  const out = button("−", "zoom out", () => zoom(2, middle()));
  const all = button("all", "show all memory", () => show(0, total));

  keys.id = "keys";
  keys.textContent = "Click or +: closer. Shift-click or −: back. 0: all. Arrows, Page Up and Down, Home and End: move."
    + " Wheel with ctrl: zoom, with shift: move.";
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-roledescription", "memory map");
  canvas.setAttribute("aria-describedby", keys.id);
  canvas.onclick = (event) => {
    const cell = under(event);
    if (cell) zoom(event.shiftKey ? 4 : 0.25, cell.region.first + cell.at);
  };
  const row = () => squares[0].columns * step;
  const acts = {
    "+": () => zoom(0.5, middle()), "=": () => zoom(0.5, middle()), "-": () => zoom(2, middle()), "0": () => show(0, total),
    ArrowLeft: () => move((from - to) / 2), ArrowRight: () => move((to - from) / 2),
    ArrowUp: () => move(-row()), ArrowDown: () => move(row()), PageUp: () => move(from - to), PageDown: () => move(to - from),
    Home: () => move(-from), End: () => move(total - to),
  };
  canvas.onkeydown = (event) => {
    // A key that does nothing here is the browser's: it scrolls the page.
    if (!event.ctrlKey && !event.altKey && !event.metaKey && acts[event.key]?.()) event.preventDefault();
  };
  canvas.addEventListener("wheel", (event) => {
    const cell = under(event), sideways = event.deltaX || (event.shiftKey && event.deltaY);
    const moves = event.ctrlKey ? cell && zoom(event.deltaY > 0 ? 1.5 : 0.67, cell.region.first + cell.at)
      : sideways && move(Math.sign(sideways) * (to - from) / 8);
    if (moves || event.ctrlKey) event.preventDefault();
  }, { passive: false });
  canvas.onpointermove = (event) => {
    const cell = under(event);
    if (!cell) return;
    const gfn = cell.region.gfn + cell.at * size, pages = (cell.end - cell.at) * size;
    const range = pages === 1 ? `gfn ${hex(gfn)}` : `gfn ${hex(gfn)} to ${hex(gfn + pages - 1)}`;
    read.textContent = `${range}, from address ${hex(gfn * PAGE)}: ${named(shares(cell.region, cell.at, cell.end))}`;
  };
  canvas.onpointerleave = tell;
  const drag = (event) => {
    if (!event.buttons) return;
    const area = whole.getBoundingClientRect();
    show((event.clientX - area.left) / area.width * total - (to - from) / 2, to - from);
  };
  whole.onpointerdown = (event) => { whole.setPointerCapture(event.pointerId); drag(event); };
  whole.onpointermove = drag;

  new ResizeObserver(draw).observe(canvas);
  for (const media of ["(prefers-color-scheme: dark)", "print"]) matchMedia(media).addEventListener("change", draw);
  // Not every browser tells of the medium before it takes the picture.
  for (const [name, prints] of [["beforeprint", true], ["afterprint", false]]) {
    addEventListener(name, () => { document.documentElement.classList.toggle("print", prints); draw(); });
  }
}

function timeline(strip, parent) {
  const box = make("div", "strip", undefined, parent);
  box.setAttribute("role", "img");
  box.setAttribute("aria-label", "Sizes of the records, by their logarithm; the table below has them.");
  for (const [layer, what, size] of strip) {
    // By the logarithm: beside pages, nothing else would be seen.
    const piece = make("i", "", undefined, box);
    piece.style.flex = Math.log2(size + 2);
    piece.style.background = `var(--${layer})`;
    piece.title = `${what}, ${bytes(size)}`;
  }
}

const head = make("header", "", undefined, page);
make("h1", "", data.title, head);
make("p", "under", data.subtitle, head);
for (const [good, text] of data.verdicts) {
  const line = make("p", good ? "verdict" : "verdict bad", undefined, head);
  text.split("`").forEach((part, at) => make(at % 2 ? "code" : "span", "", part, line));
}
document.title = `${data.title} – pyxl`;
const facts = section("");
facts.setAttribute("aria-label", "Summary");
pairs(data.facts, "", facts);
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
