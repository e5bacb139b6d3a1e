/* The map as a control: zoom, pan, pointing and the keyboard. What is pointed at is told to the application. */

class MapView {
  constructor(canvas, app) {
    this.canvas = canvas;
    this.app = app;
    this.x0 = 0;
    this.scale = 1;
    this.scroll = 0;
    this.pointers = new Map();
    this.listen();
    new ResizeObserver(() => this.resize()).observe(canvas.parentElement);
  }

  get gutter() {
    return this.width > 640 ? 104 : 6;
  }

  get room() {
    return Math.max(this.width - this.gutter - 6, 50);
  }

  get fitScale() {
    return this.room / this.scene.axis.width;
  }

  setTheme() {
    this.theme = themeOf(document.documentElement);
    this.later();
  }

  /* Another scene; keep the place if the axis is the same. */
  show(scene, changes) {
    const keep = this.scene && this.scene.axis === scene.axis;
    if (!keep) this.mostRows = 0;
    this.scene = scene;
    this.changes = changes;
    scene.layOut(this.app.withDisabled);
    this.resize();
    if (!keep) this.fit();
    this.later();
  }

  resize() {
    if (!this.scene) return;
    const width = this.canvas.parentElement.clientWidth, before = this.width;
    const wasFit = before && Math.abs(this.scale - this.fitScale) < 1e-9;
    this.width = width;
    let rows = this.scene.boxes.length * SIZE.row + 6;
    if (this.changes) rows = this.mostRows = Math.max(rows, this.mostRows || 0); /* or the page would jump while time goes by */
    const most = Math.max(5 * SIZE.row, Math.round(window.innerHeight * 0.52) - 120);
    this.rowsHeight = Math.min(rows, most);
    this.height = Picture.height(this.scene, this.rowsHeight, this.changes);
    this.maxScroll = Math.max(0, rows - this.rowsHeight);
    this.scroll = Math.min(this.scroll, this.maxScroll);
    this.ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(width * this.ratio);
    this.canvas.height = Math.round(this.height * this.ratio);
    this.canvas.style.width = width + "px";
    this.canvas.style.height = this.height + "px";
    if (wasFit) this.fit();
    this.paint();
  }

  later() {
    if (this.pending) return;
    this.pending = requestAnimationFrame(() => this.paint());
  }

  paint() {
    cancelAnimationFrame(this.pending);
    this.pending = 0;
    if (!this.scene || !this.width) return;
    this.clamp();
    const context = this.canvas.getContext("2d", { alpha: false });
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    const { marks, column, litRange } = this.app.marks(this.scene);
    this.picture = new Picture(new CanvasPainter(context), this.scene, this.theme,
      { width: this.width, height: this.height, left: this.gutter, x0: this.x0, scale: this.scale, rowsHeight: this.rowsHeight,
        scroll: this.scroll, changes: this.changes, marks, column, litRange });
    this.picture.draw();
    const data = this.canvas.dataset;
    data.first = hex(this.scene.axis.address(this.x0));
    data.last = hex(this.scene.axis.address(this.x0 + this.room / this.scale));
    data.zoom = (this.scale / this.fitScale).toFixed(3);
    this.app.zoomed(this.scale / this.fitScale);
  }

  clamp() {
    const least = this.fitScale;
    this.scale = Math.min(Math.max(this.scale, least), Math.max(240, least));
    this.x0 = Math.min(Math.max(this.x0, 0), this.scene.axis.width - this.room / this.scale);
    if (this.x0 < 0) this.x0 = 0;
    this.scroll = Math.min(Math.max(this.scroll, 0), this.maxScroll);
  }

  fit() {
    this.scale = this.fitScale;
    this.x0 = 0;
    this.scroll = 0;
    this.later();
  }

  zoom(factor, at = this.gutter + this.room / 2) {
    const unit = this.x0 + (at - this.gutter) / this.scale;
    this.scale *= factor;
    const least = this.fitScale;
    this.scale = Math.min(Math.max(this.scale, least), Math.max(240, least));
    this.x0 = unit - (at - this.gutter) / this.scale;
    this.later();
  }

  pan(pixels) {
    this.x0 += pixels / this.scale;
    this.later();
  }

  /* Bring segments into sight: zoomed in if they would be too small to see, otherwise moved no more than needed. */
  reveal(from, to, closer) {
    const x = this.scene.axis.x, wide = Math.max(x[to] - x[from], 1e-6);
    const pixels = wide * this.scale;
    if (closer || pixels < 24) this.scale = Math.min(240, Math.max(this.scale, Math.min(this.room * 0.4, 240) / wide));
    const seen = this.room / this.scale;
    if (closer || pixels < 24) this.x0 = (x[from] + x[to]) / 2 - seen / 2;
    else if (x[from] >= this.x0 + seen - 30 / this.scale || x[to] <= this.x0 + 30 / this.scale) this.x0 = (x[from] + Math.min(x[to], x[from] + seen)) / 2 - seen / 2;
    this.later();
  }

  /* Levels are scrolled so that one is seen. */
  revealLevel(level) {
    const fromBottom = level * SIZE.row;
    if (fromBottom < this.scroll) this.scroll = fromBottom;
    if (fromBottom + SIZE.row > this.scroll + this.rowsHeight) this.scroll = fromBottom + SIZE.row - this.rowsHeight;
    this.later();
  }

  showAddresses(first, last) {
    const axis = this.scene.axis, a = axis.position(first), b = axis.position(last);
    this.scale = this.room / Math.max(b - a, 1e-3);
    this.x0 = a;
    this.later();
  }

  /* What is at a point: { segment, address, way }, or null. */
  hit(x, y) {
    const { scene, picture } = this;
    if (!picture || !scene.nSegments || x < this.gutter) return null;
    const unit = this.x0 + (x - this.gutter) / this.scale;
    if (picture.blockTop && y >= picture.blockTop && scene.shownBlocks) {
      const block = scene.shownBlocks.find((b) => x >= b.left && x <= b.right);
      if (!block) return null;
      const offset = block.axis.address((x - block.left) / block.scale);
      const r = block.ranges.find((i) => {
        const range = scene.range(i);
        return range.offset <= offset && offset <= range.offset + (range.last - range.first);
      });
      if (r === undefined) return null;
      return { segment: scene.rangeFrom[r], address: scene.range(r).first, way: scene.rangeWay[r] };
    }
    if (unit < 0 || unit >= scene.axis.width) return null;
    const segment = scene.axis.at(unit);
    let way = scene.winner[segment];
    if (y >= picture.rowsTop && y < picture.rowsBottom) {
      const box = scene.boxAt(Math.floor((picture.rowsBottom + this.scroll - y) / SIZE.row), segment);
      if (box >= 0) way = box;
    }
    const range = scene.rangeOf[segment];
    const address = range >= 0 && way === scene.rangeWay[range] ? scene.starts[scene.rangeFrom[range]] : scene.starts[segment];
    return { segment, address, way };
  }

  listen() {
    const { canvas, app } = this;
    const place = (event) => {
      const box = canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 16 : 1;
      if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) this.pan((event.deltaX || event.deltaY) * lines);
      else this.zoom(Math.exp(-event.deltaY * lines * 0.0022), place(event)[0]);
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, place(event));
      this.moved = 0;
    });
    canvas.addEventListener("pointermove", (event) => {
      const now = place(event), before = this.pointers.get(event.pointerId);
      if (!before) {
        app.hover(this.hit(now[0], now[1]));
        return;
      }
      this.drag(event.pointerId, before, now);
    });
    const up = (event) => {
      const at = this.pointers.get(event.pointerId);
      this.pointers.delete(event.pointerId);
      canvas.classList.remove("dragging");
      if (at && event.type === "pointerup" && this.moved < 5 && !this.pointers.size) app.pin(this.hit(at[0], at[1]));
    };
    canvas.addEventListener("pointerup", up);
    canvas.addEventListener("pointercancel", up);
    canvas.addEventListener("pointerleave", () => app.hover(null));
    canvas.addEventListener("dblclick", (event) => this.zoom(2.5, place(event)[0]));
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  drag(id, before, now) {
    const others = [...this.pointers].filter(([other]) => other !== id);
    this.moved += Math.abs(now[0] - before[0]) + Math.abs(now[1] - before[1]);
    this.pointers.set(id, now);
    if (this.moved < 5) return;
    this.canvas.classList.add("dragging");
    if (others.length) { /* a pinch: the distance to the other finger, about the middle of both */
      const other = others[0][1], was = Math.abs(before[0] - other[0]), is = Math.abs(now[0] - other[0]);
      if (was > 8 && is > 8) this.zoom(is / was, (now[0] + other[0]) / 2);
      this.pan((before[0] - now[0]) / 2);
      return;
    }
    this.pan(before[0] - now[0]);
    this.scroll += now[1] - before[1];
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { app } = this, step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step && event.shiftKey) this.pan(step * this.room * 0.2);
    else if (step) app.stepRange(step);
    else if (event.key === "ArrowUp") app.stepWay(1);
    else if (event.key === "ArrowDown") app.stepWay(-1);
    else if (event.key === "Home") app.toRange(0);
    else if (event.key === "End") app.toRange(this.scene.nRanges - 1);
    else if (event.key === "PageDown") this.pan(this.room * 0.8);
    else if (event.key === "PageUp") this.pan(-this.room * 0.8);
    else if (event.key === "Enter") app.togglePin();
    else return;
    event.preventDefault();
  }
}
