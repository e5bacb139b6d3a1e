/*
 * Drawing a scene. The same code draws on the canvas and, to be printed, as SVG: through a painter. Only what is visible is
 * looked at: what is narrower than a pixel is drawn together with its neighbours, found by bisection.
 */

const FONT = 'ui-monospace, "Cascadia Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace';
const SIZE = { axis: 40, row: 24, box: 20, strip: 30, was: 14, ribbons: 44, block: 26, foot: 20, pad: 8 };
const TINY = 2;

class CanvasPainter {
  constructor(context) {
    this.c = context;
  }

  rect(x, y, w, h, how) {
    const c = this.c;
    if (how.fill) {
      c.globalAlpha = how.alpha || 1;
      c.fillStyle = how.fill;
      c.fillRect(x, y, w, h);
      c.globalAlpha = 1;
    }
    if (how.hatch) this.hatch(x, y, w, h, how.hatch);
    if (how.stroke) {
      c.strokeStyle = how.stroke;
      c.lineWidth = how.width || 1;
      c.setLineDash(how.dash || []);
      c.strokeRect(x + 0.5, y + 0.5, Math.max(w - 1, 0), Math.max(h - 1, 0));
    }
  }

  hatch(x, y, w, h, color) {
    const c = this.c;
    c.save();
    c.beginPath();
    c.rect(x, y, w, h);
    c.clip();
    c.beginPath();
    for (let d = Math.floor((x - h) / 7) * 7; d < x + w; d += 7) {
      c.moveTo(d, y + h);
      c.lineTo(d + h, y);
    }
    c.globalAlpha = 0.3;
    c.strokeStyle = color;
    c.lineWidth = 1;
    c.setLineDash([]);
    c.stroke();
    c.restore();
  }

  text(text, x, y, how) {
    const c = this.c;
    c.font = `${how.bold ? "600 " : ""}${how.size || 11}px ${FONT}`;
    c.fillStyle = how.fill;
    c.textAlign = how.align || "left";
    c.textBaseline = "middle";
    c.fillText(text, x, y);
  }

  width(text, size) {
    this.c.font = `${size || 11}px ${FONT}`;
    return this.c.measureText(text).width;
  }

  path(d, how) {
    const c = this.c, path = new Path2D(d);
    c.globalAlpha = how.alpha || 1;
    if (how.fill) {
      c.fillStyle = how.fill;
      c.fill(path);
    }
    if (how.stroke) {
      c.strokeStyle = how.stroke;
      c.lineWidth = how.width || 1;
      c.setLineDash(how.dash || []);
      c.stroke(path);
    }
    c.globalAlpha = 1;
  }
}

class SvgPainter {
  constructor(width, height) {
    this.svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.setAttribute("role", "img");
  }

  add(tag, attributes, text) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) if (value !== undefined) element.setAttribute(name, value);
    if (text !== undefined) element.textContent = text;
    this.svg.append(element);
  }

  rect(x, y, w, h, how) {
    this.add("rect", { x: x + 0.5, y: y + 0.5, width: Math.max(w - 1, 0.5), height: Math.max(h - 1, 0.5), fill: how.fill || "none",
                       "fill-opacity": how.alpha, stroke: how.stroke, "stroke-width": how.width, "stroke-dasharray": how.dash && how.dash.join(" ") });
    if (how.hatch) {
      let d = "";
      for (let at = x - h + 7; at < x + w; at += 7) {
        const low = Math.max(at, x), high = Math.min(at + h, x + w);
        if (low < high) d += `M${low} ${y + h - (low - at)}L${high} ${y + h - (high - at)}`;
      }
      if (d) this.path(d, { stroke: how.hatch, alpha: 0.3 });
    }
  }

  text(text, x, y, how) {
    this.add("text", { x, y: y + 4, fill: how.fill, "font-size": how.size || 11, "font-weight": how.bold ? 600 : undefined, "font-family": FONT,
                       "text-anchor": { center: "middle", right: "end" }[how.align] }, text);
  }

  width(text, size) {
    return text.length * (size || 11) * 0.61;
  }

  path(d, how) {
    this.add("path", { d, fill: how.fill || "none", stroke: how.stroke, "stroke-width": how.width, opacity: how.alpha,
                       "stroke-dasharray": how.dash && how.dash.join(" ") });
  }
}

/* The style sheet's colours, as they are for this element. */
function themeOf(element) {
  const style = getComputedStyle(element), theme = {};
  for (const name of ["page", "ink", "muted", "rule", "accent", "gone", "new", "changed"]) theme[name] = style.getPropertyValue("--" + name).trim();
  for (const kind of new Set([...KIND_COLORS]))
    theme[kind] = Object.fromEntries(["solid", "text", "tint", "edge"].map((part) => [part, style.getPropertyValue(`--${kind}-${part}`).trim()]));
  return theme;
}

/* As much of the text as fits, with an ellipsis; "" if not even that makes sense. */
function fit(painter, text, room, size) {
  if (painter.width(text, size) <= room) return text;
  const each = painter.width("0", size), n = Math.floor(room / each) - 1;
  if (n < 3) return "";
  let short = [...text.slice(0, 2 * n)].slice(0, n).join("");
  while (short && painter.width(short + "…", size) > room) short = short.slice(0, -1);
  return short.length < 3 ? "" : short + "…";
}

class Picture {
  /* frame: width, left (gutter), x0 (units at the left), scale (pixels per unit), rowsHeight, scroll, marks, changes */
  constructor(painter, scene, theme, frame) {
    this.p = painter;
    this.scene = scene;
    this.theme = theme;
    this.f = frame;
    this.right = frame.width;
    this.rowsTop = SIZE.axis;
    this.rowsBottom = SIZE.axis + frame.rowsHeight;
    this.stripTop = this.rowsBottom + SIZE.pad;
    this.wasTop = this.stripTop + SIZE.strip + 3;
    this.ribbonTop = frame.changes ? this.wasTop + SIZE.was : this.stripTop + SIZE.strip;
    this.blockTop = this.ribbonTop + SIZE.ribbons;
  }

  static height(scene, rowsHeight, changes) {
    return SIZE.axis + rowsHeight + SIZE.pad + SIZE.strip + (changes ? SIZE.was + 3 : 0) +
      (blocksOf(scene).length ? SIZE.ribbons + SIZE.block + SIZE.foot : SIZE.pad);
  }

  px(units) {
    return this.f.left + (units - this.f.x0) * this.f.scale;
  }

  /* Units at the edges of what is visible. */
  get leftUnit() {
    return this.f.x0;
  }

  get rightUnit() {
    return this.f.x0 + (this.right - this.f.left) / this.f.scale;
  }

  draw() {
    const { p, theme, f } = this;
    if (f.background !== false) p.rect(0, 0, f.width, f.height, { fill: theme.page });
    this.firstSegment = this.scene.axis.at(this.leftUnit);
    this.lastSegment = this.scene.axis.at(Math.min(this.rightUnit, this.scene.axis.width));
    this.clipped(f.left, 0, f.width - f.left, f.height, () => {
      this.drawColumn();
      this.drawRows();
      this.drawAxis();
      this.drawStrip();
      if (f.changes) this.drawChanges();
      this.drawBlocks();
      this.drawMarks();
    });
    if (f.left > 20) this.drawGutter();
  }

  clipped(x, y, w, h, fn) {
    const c = this.p.c;
    if (!c) return fn();
    c.save();
    c.beginPath();
    c.rect(x, y, w, h);
    c.clip();
    fn();
    c.restore();
  }

  drawGutter() {
    const { p, theme, f } = this;
    const label = (text, y) => p.text(text, f.left - 8, y, { fill: theme.muted, align: "right", size: 10.5 });
    label("address", SIZE.axis - 12);
    if (f.rowsHeight >= 4 * SIZE.row) label("asked first ↑", this.rowsTop + 14);
    if (f.rowsHeight >= SIZE.row) label("layers", this.rowsBottom - 12);
    p.text("answers", f.left - 8, this.stripTop + SIZE.strip / 2, { fill: theme.ink, align: "right", size: 11, bold: true });
    if (f.changes) label("before", this.wasTop + SIZE.was / 2);
    if (blocksOf(this.scene).length) label("targets", this.blockTop + SIZE.block / 2);
  }

  /* Where a run of segments lies, no wider than what is visible needs. */
  extent(from, to) {
    const x = this.scene.axis.x;
    const left = Math.max(this.px(x[from]), this.f.left - 4), right = Math.min(this.px(x[to]), this.right + 4);
    return [left, right];
  }

  drawAxis() {
    const { p, theme, scene, f } = this, axis = scene.axis, base = SIZE.axis - 6;
    const from = Math.max(this.px(0), f.left), to = Math.min(this.px(axis.width), this.right);
    p.path(`M${from} ${base}H${to}`, { stroke: theme.muted });
    for (let s = this.firstSegment, free = f.left - 1; s <= this.lastSegment;) {
      const x = this.px(axis.x[s]);
      const wide = (axis.x[s + 1] - axis.x[s]) * f.scale;
      if (axis.empty && axis.empty[s] && wide >= 5) this.drawFold(s, base);
      if (x >= free) {
        const text = hex(axis.starts[s]), width = p.width(text);
        if (x + width + 4 > this.right && s !== this.firstSegment) {
          p.path(`M${x} ${base}v-5`, { stroke: theme.muted });
        } else {
          p.path(`M${x} ${base}V${base - 20}`, { stroke: theme.rule });
          p.path(`M${x} ${base}v-5`, { stroke: theme.muted });
          p.text(text, x + 4, base - 14, { fill: theme.muted });
          free = x + width + 14;
        }
      } else if (wide > 3) {
        p.path(`M${x} ${base}v-4`, { stroke: theme.muted });
      }
      s = wide > 3 ? s + 1 : Math.max(s + 1, axis.at(axis.x[s] + 3 / f.scale));
    }
  }

  /* A piece of the axis that is folded: a zigzag, and its size where there is room. */
  drawFold(s, base) {
    const { p, theme, scene } = this, [left, right] = this.extent(s, s + 1);
    const middle = (left + right) / 2, half = Math.min(9, (right - left) / 2 - 1);
    p.rect(middle - half, base - 3, 2 * half, 6, { fill: theme.page });
    p.path(`M${middle - half} ${base}l${half / 3} -4l${(2 * half) / 3} 8l${(2 * half) / 3} -8l${half / 3} 4`, { stroke: theme.muted });
    const text = sizeText(scene.endOf(s) - scene.starts[s]) + " of nothing";
    if (p.width(text, 10) < right - left - 12) p.text(text, middle, this.stripTop + SIZE.strip / 2, { fill: theme.muted, align: "center", size: 10 });
  }

  drawRows() {
    const { scene, f } = this;
    this.clipped(f.left, this.rowsTop, f.width - f.left, f.rowsHeight, () => {
      for (let level = 0; level < scene.boxes.length; level++) {
        const y = this.rowTop(level);
        if (y + SIZE.row < this.rowsTop || y > this.rowsBottom) continue;
        this.drawRow(scene.boxes[level], y);
      }
    });
  }

  rowTop(level) {
    return this.rowsBottom - (level + 1) * SIZE.row + this.f.scroll;
  }

  /* fn(from, to, index) for each visible one of sorted, disjoint pieces; those that are tiny come as runs, index -1. */
  eachVisible(n, fromOf, toOf, fn) {
    const axis = this.scene.axis, x = axis.x, right = this.rightUnit;
    const firstBehind = (unit) => {
      let low = 0, high = n;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (x[toOf(middle)] <= unit) low = middle + 1;
        else high = middle;
      }
      return low;
    };
    const tiny = TINY / this.f.scale;
    for (let i = firstBehind(this.leftUnit); i < n && x[fromOf(i)] < right;) {
      const from = fromOf(i);
      if (x[toOf(i)] - x[from] >= tiny) {
        fn(from, toOf(i), i);
        i++;
        continue;
      }
      const begin = i;
      let end = toOf(i);
      while (i < n && x[fromOf(i)] - x[end] < tiny && x[toOf(i)] - x[fromOf(i)] < tiny && x[end] < right) {
        i = Math.max(i + 1, firstBehind(x[fromOf(i)] + tiny) - 1);
        end = toOf(i - 1);
      }
      fn(from, end, i - begin === 1 ? begin : -1, begin, i);
    }
  }

  drawRow(boxes, y) {
    const { scene } = this;
    this.eachVisible(boxes.length, (i) => scene.from[boxes[i]], (i) => scene.to[boxes[i]], (from, to, i, begin, end) => {
      const [left, right] = this.extent(from, to);
      if (i < 0) {
        const color = this.theme[this.commonColor(begin, end, (k) => scene.face(boxes[k]))];
        this.p.rect(left, y + 2, Math.max(right - left, 1.5), SIZE.box, { fill: color.tint, stroke: right - left > 3 ? color.edge : undefined });
        if (right - left <= 3) this.p.rect(left, y + 2, Math.max(right - left, 1.5), SIZE.box, { fill: color.edge });
        this.countText(end - begin, "region", left, right, y + 2 + SIZE.box / 2, this.theme.ink);
      } else {
        this.drawBox(boxes[i], left, right, y + 2);
      }
    });
  }

  /* The colour of many that are drawn together: theirs if they have one, else the neutral one. A sample of them is looked at. */
  commonColor(begin, end, wayOf) {
    const { scene } = this, at = (k) => colorOf(scene.data, scene.ways.row[wayOf(k)]), first = at(begin);
    for (let k = begin; k < end; k += Math.max(1, Math.floor((end - begin) / 40))) if (at(k) !== first) return "container";
    return first;
  }

  countText(n, what, left, right, y, fill) {
    const from = Math.max(left, this.f.left), to = Math.min(right, this.right);
    const shown = to - from > 60 ? fit(this.p, `${plural(n, what)}: zoom in`, to - from - 12) : "";
    if (shown) this.p.text(shown, from + 6, y, { fill });
  }

  drawBox(w, left, right, y) {
    const { p, scene, theme } = this, { ways, data } = scene, rows = data.rows;
    const row = ways.row[w], face = scene.face(w), color = theme[colorOf(data, ways.row[face])], on = ways.enabled[w];
    const alias = rows.kind[row] === KIND.ALIAS, leaf = ways.leaf(face), edge = alias ? theme.alias.edge : color.edge, wide = right - left;
    p.rect(left, y, Math.max(wide, 1.5), SIZE.box, {
      fill: on ? color.tint : undefined,
      hatch: on && wide > 8 && leaf && (ways.attrs[face] & FLAG.READONLY || rows.kind[ways.row[face]] === KIND.RESERVED) ? color.edge : undefined,
      stroke: wide > 3 || !on ? edge : undefined,
      dash: on ? undefined : [3, 3],
    });
    if (on && wide <= 3) p.rect(left, y, Math.max(wide, 1.5), SIZE.box, { fill: edge });
    if (alias && on && wide > 8) p.rect(left, y, 3, SIZE.box, { fill: theme.alias.edge });
    if (wide < 22) return;
    let text = nameText(data.name(row));
    if (alias) text += rows.target[row] < 0 ? " → nothing" : " → " + nameText(data.name(scene.state.rowOf[rows.target[row]]));
    const begin = Math.max(left + (alias ? 8 : 5), this.f.left + 5), shown = fit(p, text, Math.min(right, this.right) - begin - 5);
    if (shown) p.text(shown, begin, y + SIZE.box / 2 + 0.5, { fill: on ? theme.ink : theme.muted });
  }

  drawStrip() {
    const { p, scene, theme } = this, y = this.stripTop;
    const edge = Math.max(this.px(0), this.f.left), end = Math.min(this.px(scene.axis.width), this.right);
    p.rect(edge, y, end - edge, SIZE.strip, { stroke: theme.rule });
    if (!scene.nRanges && end - edge > 100) p.text("nothing answers", (edge + end) / 2, y + SIZE.strip / 2, { fill: theme.muted, align: "center" });
    this.eachVisible(scene.nRanges, (i) => scene.rangeFrom[i], (i) => scene.rangeTo[i], (from, to, i, begin, end) => {
      const [left, right] = this.extent(from, to), wide = right - left;
      if (i < 0) {
        const common = theme[this.commonColor(begin, end, (k) => scene.rangeWay[k])];
        p.rect(left, y, Math.max(wide, 1.5), SIZE.strip, { fill: common.solid });
        this.countText(end - begin, "range", left, right, y + SIZE.strip / 2, common.text);
        return;
      }
      const w = scene.rangeWay[i], row = scene.ways.row[w], color = theme[colorOf(scene.data, row)];
      p.rect(left, y, Math.max(wide - (wide > 4 ? 1 : 0), 1.5), SIZE.strip, {
        fill: color.solid,
        hatch: wide > 8 && (scene.ways.attrs[w] & FLAG.READONLY || scene.data.rows.kind[row] === KIND.RESERVED) ? color.text : undefined,
      });
      const start = Math.max(left, this.f.left) + 6;
      const shown = wide > 26 ? fit(p, nameText(scene.data.name(row)), Math.min(right, this.right) - start - 6) : "";
      if (shown) p.text(shown, start, y + SIZE.strip / 2 + 0.5, { fill: color.text, bold: true });
    });
  }

  /* What the step changed: frames around it, and what was there before. */
  drawChanges() {
    const { p, theme, f } = this, list = f.changes.pieces;
    this.eachVisible(list.length, (i) => list[i].from, (i) => list[i].to, (begin, end, i, sample) => {
      const piece = list[i < 0 ? sample : i], [left, right] = this.extent(begin, end), color = theme[piece.what];
      p.rect(left - 1, this.stripTop - 3, Math.max(right - left, 2) + 1, SIZE.strip + 6, { stroke: color, width: 2.5 });
      if (piece.color)
        p.rect(left, this.wasTop, Math.max(right - left, 2), SIZE.was, { fill: theme[piece.color].tint, stroke: theme[piece.color].edge });
      else p.rect(left, this.wasTop, Math.max(right - left, 2), SIZE.was, { stroke: theme.rule, dash: [2, 2] });
      const shown = right - left > 30 && i >= 0 ? fit(p, piece.was, right - left - 8, 10) : "";
      if (shown) p.text(shown, left + 4, this.wasTop + SIZE.was / 2, { fill: theme.ink, size: 10 });
    });
  }

  /* The regions that windows show, each once, and what of them is shown where. */
  drawBlocks() {
    const { p, scene, theme, f } = this, all = blocksOf(scene);
    if (!all.length) return;
    let shown = all;
    const room = f.width - f.left, most = Math.max(1, Math.floor(room / 120));
    if (all.length > most) {
      const visible = new Set();
      for (let s = this.firstSegment, n = 0; s <= this.lastSegment && n < 4000; s++, n++) if (scene.rangeOf[s] >= 0) visible.add(scene.blockOf.get(scene.data.rows.id[scene.ways.row[scene.winner[s]]]));
      shown = all.filter((block) => visible.has(block));
    }
    const more = shown.length - most;
    shown = shown.slice(0, most);
    const gap = 14, weight = shown.reduce((sum, block) => sum + block.axis.width, 0), usable = room - gap * shown.length - 8;
    let x = f.left + 1;
    for (const block of shown) {
      const wide = usable * (0.5 / shown.length + (0.5 * block.axis.width) / weight), color = theme[colorOf(scene.data, block.row)];
      block.left = x;
      block.scale = wide / block.axis.width;
      block.right = x + wide;
      x += wide + gap;
      this.drawWindows(block, color);
      p.rect(block.left, this.blockTop, wide, SIZE.block, { fill: color.tint, stroke: color.edge });
      const text = fit(p, `${nameText(scene.data.name(block.row))} · ${sizeText(scene.data.rows.last[block.row])}`, wide - 12);
      if (text) p.text(text, block.left + 6, this.blockTop + SIZE.block / 2, { fill: theme.ink });
      const last = hex(scene.data.rows.last[block.row]);
      p.text("0x0", block.left + 1, this.blockTop + SIZE.block + 9, { fill: theme.muted, size: 10 });
      if (wide > p.width(last, 10) + 40) p.text(last, block.right, this.blockTop + SIZE.block + 9, { fill: theme.muted, align: "right", size: 10 });
    }
    scene.shownBlocks = shown;
    if (more > 0) p.text(`and ${more} more: zoom in`, f.width - 6, this.blockTop + SIZE.block + 9, { fill: theme.muted, align: "right", size: 10 });
  }

  drawWindows(block, color) {
    const { p, scene } = this, ranges = block.ranges;
    const last = (i) => scene.range(ranges[i]);
    let drawn = 0, edge = -Infinity;
    for (let i = 0; i < ranges.length && drawn < 400; i++) {
      const from = scene.rangeFrom[ranges[i]], to = scene.rangeTo[ranges[i]];
      if (to <= this.firstSegment || from > this.lastSegment) continue;
      const [left, right] = this.extent(from, to);
      if (right < edge + 1) continue;
      edge = right;
      drawn++;
      const range = last(i), a = block.left + block.axis.position(range.offset) * block.scale;
      const b = block.left + this.blockEnd(block, range.offset + (range.last - range.first)) * block.scale;
      const y = this.ribbonTop + 2, end = this.blockTop, middle = (y + end) / 2, lit = this.f.litRange === ranges[i];
      p.path(`M${left} ${y}C${left} ${middle} ${a} ${middle} ${a} ${end}H${b}C${b} ${middle} ${right} ${middle} ${right} ${y}Z`,
             { fill: color.edge, alpha: lit ? 0.5 : 0.16 });
      if (lit || right - left > 24) {
        const center = (a + b) / 2, top = (left + right) / 2;
        p.path(`M${top} ${y}C${top} ${middle} ${center} ${middle} ${center} ${end - 1}M${center - 4} ${end - 6}L${center} ${end - 1}L${center + 4} ${end - 6}`,
               { stroke: this.theme.alias.edge, width: lit ? 2 : 1 });
      }
    }
  }

  blockEnd(block, last) {
    const s = block.axis.find(last);
    return last === block.axis.end(s) ? block.axis.x[s + 1] : block.axis.position(last);
  }

  /* The column of what is pointed at, behind everything. */
  drawColumn() {
    const { p, theme, f } = this;
    if (f.column === undefined || f.column < 0) return;
    const [left, right] = this.extent(f.column, f.column + 1);
    p.rect(left, SIZE.axis - 8, Math.max(right - left, 2), this.stripTop + SIZE.strip - SIZE.axis + 8, { fill: theme.accent, alpha: 0.14 });
  }

  /* Outlines of what is pointed at, pinned or found; and an arrow from a window to its target where both are placed. */
  drawMarks() {
    const { p, theme, f, scene } = this;
    this.clipped(f.left, this.rowsTop, f.width - f.left, f.rowsHeight, () => {
      for (const mark of f.marks || []) {
        const [left, right] = this.extent(scene.from[mark], scene.to[mark]), level = scene.level[mark];
        if (level < 0 || right < f.left || left > f.width) continue;
        p.rect(left - 1, this.rowTop(level) + 1, Math.max(right - left, 2) + 2, SIZE.box + 2, { stroke: theme.accent, width: 2 });
        this.drawArrow(mark);
      }
    });
    if (f.litRange !== undefined && f.litRange >= 0) {
      const [left, right] = this.extent(scene.rangeFrom[f.litRange], scene.rangeTo[f.litRange]);
      p.rect(left - 1, this.stripTop - 1, Math.max(right - left, 2) + 1, SIZE.strip + 2, { stroke: theme.accent, width: 2 });
    }
  }

  drawArrow(mark) {
    const { p, theme, scene } = this, rows = scene.data.rows, row = scene.ways.row[mark];
    if (rows.kind[row] !== KIND.ALIAS || scene.shows[mark] >= 0) return;
    const target = scene.waysOfRegion(rows.target[row]).find((w) => scene.ways.up[w] !== mark && scene.level[w] >= 0);
    if (target === undefined) return;
    const [left, right] = this.extent(scene.from[mark], scene.to[mark]), [from, to] = this.extent(scene.from[target], scene.to[target]);
    const x = (left + right) / 2, y = this.rowTop(scene.level[mark]) + 12, tx = Math.min(Math.max(x + 60, from), to), ty = this.rowTop(scene.level[target]) + (scene.level[target] > scene.level[mark] ? 22 : 2);
    p.path(`M${x} ${y}Q${(x + tx) / 2 + 30} ${(y + ty) / 2} ${tx} ${ty}M${tx - 4} ${ty - 6}L${tx} ${ty}L${tx + 5} ${ty - 5}`, { stroke: theme.alias.edge, width: 2 });
  }
}

/* Regions without a place of their own that windows show, with the ranges that show them. */
function blocksOf(scene) {
  if (scene.blocks) return scene.blocks;
  const { ways, data } = scene, found = new Map();
  for (let r = 0; r < scene.nRanges; r++) {
    const w = scene.rangeWay[r], up = ways.up[w], row = ways.row[w];
    if (up < 0 || data.rows.kind[ways.row[up]] !== KIND.ALIAS || data.rows.parent[row] >= 0) continue;
    const id = data.rows.id[row];
    if (!found.has(id)) found.set(id, { row, ranges: [] });
    found.get(id).ranges.push(r);
  }
  scene.blocks = [...found.values()];
  scene.blockOf = found;
  for (const block of scene.blocks) {
    const last = data.rows.last[block.row], starts = [0n], ranges = block.ranges;
    for (let i = 0; i < ranges.length; i++) {
      const range = scene.range(ranges[i]), end = range.offset + (range.last - range.first);
      starts.push(range.offset);
      if (end < last) starts.push(end + 1n);
    }
    block.axis = new Axis(unique(BigUint64Array.from(starts)), last, null);
  }
  return scene.blocks;
}
