/* The application: what is chosen, pointed at, pinned and found, and the parts that show it. */

const PAGE_ROWS = 200;
const PRINT_ROWS = 2000;

class App {
  constructor(data) {
    this.data = data;
    this.n = data.steps.length;
    this.withDisabled = true;
    this.litRegions = new Set();
    this.scenes = new Map();
    this.matches = [];
    this.pointed = null;
    this.pinned = null;
    const title = plainText(data.title.split("/").pop() || data.title);
    document.title = `${title} – gmem`;
    byId("title").textContent = title;
    byId("title").title = plainText(data.title);
    this.map = new MapView(byId("map"), this);
    this.tree = new TreeView(byId("tree"), this);
    this.listSpaces();
    if (data.timeline) {
      this.timeline = new Timeline(this);
      byId("step-details").hidden = false;
    }
    byId("ranges").open = !data.timeline;
    this.listen();
    this.theme();
    this.choose(byId("space").value);
  }

  /* Spaces that show the same are one entry. */
  listSpaces() {
    const { data } = this, groups = new Map(), names = [];
    const state = data.state(data.steps.length);
    const small = data.rows.count < 20000;
    for (const space of state.spaces) {
      let key = "root " + space.root;
      if (small) {
        const scene = new Scene(data, state, space.name, null, null), parts = [];
        for (let r = 0; r < scene.nRanges; r++) {
          const { first, last, row, offset, attrs } = scene.range(r);
          parts.push(first, last, row, offset, attrs);
        }
        key = parts.join(" ");
      }
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(space.name);
    }
    for (let n = 1; data.timeline && n <= data.steps.length; n++)
      names.push(...spaceKeys(data, data.steps[n - 1].spaces || []));
    const inLast = new Set(state.spaces.map((space) => space.name));
    for (const name of new Set(names)) if (!inLast.has(name)) groups.set("gone " + name, [name]);
    const select = byId("space");
    for (const group of groups.values()) {
      const shown = [...new Set(group)].map(nameText);
      const text = shown.length > 3 ? `${shown.slice(0, 2).join(", ")} and ${shown.length - 2} more` : shown.join(", ");
      select.append(make("option", { value: group[0], title: shown.join(", ") }, text));
    }
    this.groups = [...groups.values()];
    const wanted = data.space !== undefined ? this.groups.find((group) => group.includes(data.space)) : null;
    const memory = this.groups.find((group) => group.includes("memory"));
    const first = wanted || memory || this.groups[0];
    if (first) select.value = first[0];
    select.parentElement.hidden = this.groups.length < 2;
  }

  choose(name) {
    this.spaceName = name;
    this.scenes.clear();
    this.pinned = this.pointed = null;
    this.litRegions = new Set();
    this.axis = this.data.timeline ? commonAxis(this.data, name) : null;
    this.show();
    if (this.query) this.find(this.query);
  }

  sceneAt(n) {
    let scene = this.scenes.get(n);
    if (!scene) {
      scene = new Scene(this.data, this.data.state(n), this.spaceName, this.axis ? this.axis.starts : null, this.axis);
      if (this.scenes.size > 40) this.scenes.clear();
      this.scenes.set(n, scene);
    }
    return scene;
  }

  show() {
    const { data, n } = this, scene = (this.scene = this.sceneAt(n));
    let pieces = null;
    if (data.timeline) {
      pieces = n > 1 ? changesOf(this.sceneAt(n - 1), scene) : [];
      this.timeline.show(pieces);
    }
    this.map.show(scene, data.timeline ? { pieces } : null);
    this.tree.show(scene);
    this.showEmpty();
    this.showKey(byId("key"));
    byId("ranges-count").textContent = plural(scene.nRanges, "range");
    this.toPage(0);
    for (const what of ["pinned", "pointed"]) {
      if (this[what]) this[what] = this.at(this[what].address, -1);
    }
    this.showPanel();
  }

  showEmpty() {
    const { scene } = this, empty = byId("empty");
    empty.hidden = scene.ways.n > 0 && scene.nSegments > 0;
    empty.textContent = !this.groups.length ? "This machine has no address spaces."
      : !scene.space ? `There is no space ${nameText(this.spaceName)} after this step.`
        : "Nothing is seen in this space: its root shows no region.";
    byId("map").setAttribute("aria-label", `Memory map of ${nameText(this.spaceName || "")}: ${plural(scene.nRanges, "range")}`);
  }

  /* What of the colours is in use. */
  showKey(list) {
    const { scene, data } = this, used = new Set(), items = [];
    let off = false, readonly = false;
    for (let w = 0; w < scene.ways.n; w++) {
      used.add(colorOf(data, scene.ways.row[w]));
      off = off || !scene.ways.enabled[w];
      readonly = readonly || (scene.ways.attrs[w] & FLAG.READONLY) !== 0;
    }
    KIND_COLORS.forEach((color, kind) => {
      if (used.has(color)) items.push([color, KIND_NAMES[kind]]);
    });
    if (readonly) items.push(["readonly", "takes no writes"]);
    if (off && this.withDisabled) items.push(["off", "disabled"]);
    list.replaceChildren(...items.map(([color, text]) => make("li", {}, make("span", { class: "chip " + color }), text)));
  }

  /* A thing to explain: an address, and the way that was pointed at (-1: the winner). */
  at(address, way) {
    const s = this.scene.segmentAt(address);
    return { address, segment: s, way: way >= 0 ? way : this.scene.nSegments ? this.scene.winner[s] : -1 };
  }

  hover(hit) {
    if (hit && this.pointed && hit.segment === this.pointed.segment && hit.way === this.pointed.way && hit.address === this.pointed.address) return;
    if (!hit && !this.pointed) return;
    const kept = this.pointed;
    this.pointed = hit;
    this.light();
    if (hit && !this.pinned) this.showPanel();
    else if (!hit && !this.pinned) this.last = kept;
  }

  pin(hit) {
    this.pinned = hit;
    this.pointed = hit || this.pointed;
    this.light();
    this.showPanel();
  }

  togglePin() {
    this.pin(this.pinned ? null : this.pointed || this.at(this.scene.starts[this.scene.rangeFrom[0] || 0], -1));
  }

  /* Highlight what is pointed at, or else what is pinned, on the map and in the tree. */
  light() {
    const now = this.pointed || this.pinned, { scene, data } = this, rows = data.rows;
    this.litRegions = new Set();
    this.treeMarks = [];
    if (now && now.way >= 0) {
      const up = scene.ways.up[now.way];
      this.shownRegion = rows.id[scene.ways.row[now.way]];
      this.litRegions.add(this.shownRegion);
      if (up >= 0 && rows.kind[scene.ways.row[up]] === KIND.ALIAS) this.litRegions.add(rows.id[scene.ways.row[up]]);
      this.tree.reveal(this.shownRegion);
    } else {
      this.shownRegion = -1;
      this.tree.paint();
    }
    this.map.later();
  }

  marks(scene) {
    const now = this.pointed || this.pinned, marks = [];
    if (!now || now.segment >= scene.nSegments) return { marks: this.treeMarks || [], column: -1, litRange: -1 };
    if (now.way >= 0) {
      const up = scene.ways.up[now.way];
      marks.push(scene.level[now.way] < 0 && up >= 0 && scene.shows[up] === now.way ? up : now.way);
    }
    return { marks: marks.concat(this.treeMarks || []), column: now.segment, litRange: scene.winner[now.segment] === now.way ? scene.rangeOf[now.segment] : -1 };
  }

  /* From the tree: everywhere where a region is seen. */
  pointRegion(id, go) {
    const { scene } = this, ways = scene.waysOfRegion(id);
    this.litRegions = new Set([id]);
    this.shownRegion = id;
    const boxes = ways.slice(0, 500).map((w) => (scene.level[w] < 0 && scene.ways.up[w] >= 0 ? scene.ways.up[w] : w)).filter((w) => scene.level[w] >= 0);
    this.treeMarks = boxes;
    this.pointed = null;
    this.map.later();
    this.tree.paint();
    if (!go) {
      if (!this.pinned) this.showRegion(id, ways);
      return;
    }
    if (ways.length) {
      this.treeMarks = [];
      const best = ways.find((w) => this.wins(w) >= 0), w = best === undefined ? ways[0] : best;
      const s = best === undefined ? scene.from[w] : this.wins(w);
      this.reveal(w);
      this.pin({ address: scene.starts[s], segment: s, way: w });
    } else {
      this.pinned = null;
      this.showRegion(id, ways);
    }
  }

  leaveTree() {
    if (document.activeElement !== byId("tree")) this.light();
  }

  /* The first segment that a way wins, or -1. */
  wins(w) {
    for (let s = this.scene.from[w]; s < this.scene.to[w]; s++) if (this.scene.winner[s] === w) return s;
    return -1;
  }

  reveal(w, closer) {
    const { scene, map } = this;
    map.reveal(scene.from[w], scene.to[w], closer);
    const level = scene.level[w] >= 0 ? scene.level[w] : scene.ways.up[w] >= 0 ? scene.level[scene.ways.up[w]] : -1;
    if (level >= 0) map.revealLevel(level);
  }

  goTo(first, last) {
    const { scene } = this, s = scene.segmentAt(first);
    this.treeMarks = [];
    this.map.reveal(s, scene.segmentAt(last) + 1, false);
    this.pin(this.at(first, -1));
    this.announce();
  }

  toRange(r) {
    const { scene } = this;
    if (r < 0 || r >= scene.nRanges) return;
    this.treeMarks = [];
    const s = scene.rangeFrom[r], now = { address: scene.starts[s], segment: s, way: scene.rangeWay[r] };
    this.map.reveal(s, scene.rangeTo[r], false);
    this.pointed = now;
    if (this.pinned) this.pinned = now;
    this.light();
    this.showPanel();
    this.announce();
  }

  stepRange(step) {
    const { scene } = this, now = this.pointed || this.pinned;
    if (!now) return this.toRange(step > 0 ? 0 : scene.nRanges - 1);
    let s = Math.min(now.segment, scene.nSegments - 1);
    const here = scene.rangeOf[s];
    if (here >= 0) return this.toRange(here + step);
    for (; s >= 0 && s < scene.nSegments; s += step) if (scene.rangeOf[s] >= 0) return this.toRange(scene.rangeOf[s]);
  }

  /* Up and down through what covers the address. */
  stepWay(step) {
    const { scene } = this, now = this.pointed || this.pinned;
    if (!now) return this.toRange(0);
    const at = scene.waysAt(now.address).filter((w) => scene.level[w] >= 0 || (scene.ways.up[w] >= 0 && scene.shows[scene.ways.up[w]] === w));
    const i = at.indexOf(now.way), to = i < 0 ? 0 : i - step;
    if (to < 0 || to >= at.length) return;
    const next = { ...now, way: at[to] };
    this.pointed = next;
    if (this.pinned) this.pinned = next;
    this.map.revealLevel(Math.max(scene.level[at[to]], 0));
    this.light();
    this.showPanel();
    this.announce();
  }

  announce() {
    const now = this.pointed || this.pinned, { scene, data } = this;
    if (!now) return;
    const row = now.way >= 0 ? scene.ways.row[now.way] : -1, range = scene.rangeOf[now.segment];
    byId("announce").textContent = row < 0 ? `${hex(now.address)}: nothing answers`
      : `${nameText(data.name(row))}, ${KIND_NAMES[data.rows.kind[row]]}, ` + (range >= 0 && scene.rangeWay[range] === now.way ? span(scene.range(range).first, scene.range(range).last) + ", answers" : span(scene.ways.first[now.way], scene.ways.last[now.way]));
  }

  zoomed(zoom) {
    byId("zoom-out").disabled = zoom <= 1.0001;
    byId("zoom-in").disabled = this.map.scale >= 240;
  }

  /* ---- finding ---- */

  find(query) {
    this.query = query;
    this.matches = [];
    this.match = -1;
    const text = query.trim(), { scene, data } = this;
    const address = /^0x[0-9a-f]{1,16}$/i.test(text) ? BigInt(text) : null;
    if (address !== null) {
      this.matches = address >= data.first && address <= data.last && scene.nSegments ? [{ address }] : [];
    } else if (text) {
      const wanted = text.toLowerCase();
      for (const id of this.tree.ids.concat(this.hiddenIds())) if (data.name(scene.state.rowOf[id]).toLowerCase().includes(wanted)) this.matches.push({ id });
    }
    this.elsewhere = text && address === null && !this.matches.length ? this.spaceWith(text.toLowerCase()) : undefined;
    byId("found").textContent = !text ? "" : this.elsewhere !== undefined ? "elsewhere ↵" : "none";
    byId("found").title = this.elsewhere !== undefined ? `Enter: in the space ${nameText(this.elsewhere)}` : "";
    byId("query").setAttribute("aria-invalid", String(Boolean(text) && !this.matches.length));
    if (this.matches.length) this.toMatch(0);
  }

  /* Another space whose tree has such a name. */
  spaceWith(wanted) {
    const { state, data } = this.scene, rows = data.rows, seen = new Set();
    const has = (id) => {
      const row = state.rowOf[id];
      if (row < 0 || seen.has(id)) return false;
      seen.add(id);
      if (data.name(row).toLowerCase().includes(wanted) || (rows.kind[row] === KIND.ALIAS && rows.target[row] >= 0 && has(rows.target[row]))) return true;
      for (let i = state.begin[id]; i < state.begin[id + 1]; i++) if (has(state.children[i])) return true;
      return false;
    };
    const other = this.groups.map((group) => state.space(group[0])).find((space) => space && space.root >= 0 && has(space.root));
    return other && other.name;
  }

  /* Regions of the tree that are folded away. */
  hiddenIds() {
    const { tree, scene } = this, out = [];
    const add = (id) => {
      for (let i = scene.state.begin[id]; i < scene.state.begin[id + 1]; i++) {
        out.push(scene.state.children[i]);
        add(scene.state.children[i]);
      }
    };
    for (const id of tree.closed) if (tree.index.has(id)) add(id);
    return out;
  }

  toMatch(i) {
    const n = this.matches.length;
    if (!n) return;
    this.match = (i + n) % n;
    const match = this.matches[this.match];
    byId("found").textContent = `${this.match + 1} of ${n}`;
    if (match.address !== undefined) {
      const s = this.scene.segmentAt(match.address);
      this.treeMarks = [];
      this.map.reveal(s, s + 1, false);
      this.pin(this.at(match.address, -1));
    } else {
      this.tree.reveal(match.id);
      this.pointRegion(match.id, true);
    }
    this.announce();
  }

  /* ---- time ---- */

  toStep(n) {
    if (n < 1 || n > this.data.steps.length || n === this.n) return;
    this.n = n;
    this.treeMarks = [];
    this.show();
    this.light();
  }

  /* ---- the table ---- */

  toPage(page) {
    const { scene } = this, pages = Math.max(1, Math.ceil(scene.nRanges / PAGE_ROWS));
    this.page = Math.min(Math.max(page, 0), pages - 1);
    byId("pager").hidden = pages < 2;
    byId("page-number").textContent = `page ${this.page + 1} of ${pages}`;
    byId("page-back").disabled = this.page === 0;
    byId("page-on").disabled = this.page === pages - 1;
    if (byId("ranges").open) this.fillTable();
  }

  fillTable() {
    const from = this.page * PAGE_ROWS;
    byId("ranges-body").replaceChildren(...this.tableRows(from, from + PAGE_ROWS, true));
    if (!this.scene.nRanges) byId("ranges-body").append(make("tr", {}, make("td", { colspan: 6, class: "muted" }, "Nothing answers in this space.")));
  }

  tableRows(from, to, active) {
    const { scene, data } = this, out = [];
    for (let r = from; r < Math.min(to, scene.nRanges); r++) {
      const { first, last, row, attrs, offset } = scene.range(r), where = span(first, last);
      out.push(make("tr", {}, make("td", {}, active ? make("button", { type: "button", onclick: () => this.goTo(first, last) }, where) : where),
        make("td", {}, sizeText(last - first)), make("td", { class: "wide", title: active ? nameText(data.name(row)) : null }, make("span", { class: "chip " + colorOf(data, row) }), nameText(data.name(row))),
        make("td", {}, KIND_NAMES[data.rows.kind[row]]), make("td", {}, hex(offset)), make("td", {}, attrsText(scene, row, attrs))));
    }
    return out;
  }

  /* ---- switches and keys ---- */

  theme() {
    const value = byId("theme").value;
    if (value === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = value;
    this.map.setTheme();
  }

  setDisabled(on) {
    this.withDisabled = byId("disabled").checked = on;
    this.scene.layOut(on);
    this.map.resize();
    this.showKey(byId("key"));
  }

  listen() {
    const { map } = this, on = (id, type, fn) => byId(id).addEventListener(type, fn);
    on("space", "change", (event) => this.choose(event.target.value));
    on("theme", "change", () => this.theme());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.theme());
    on("disabled", "change", (event) => this.setDisabled(event.target.checked));
    on("zoom-in", "click", () => map.zoom(1.6));
    on("zoom-out", "click", () => map.zoom(1 / 1.6));
    on("zoom-fit", "click", () => map.fit());
    on("page-back", "click", () => this.toPage(this.page - 1));
    on("page-on", "click", () => this.toPage(this.page + 1));
    on("ranges", "toggle", () => this.toPage(this.page));
    on("help-open", "click", () => byId("help").showModal());
    on("query", "input", (event) => this.find(event.target.value));
    on("query", "keydown", (event) => {
      if (event.key === "Escape" && event.target.value === "") byId("map").focus();
      if (event.key === "Enter" && event.shiftKey) {
        event.preventDefault();
        this.toMatch(this.match - 1);
      }
    });
    on("find-back", "click", () => this.toMatch(this.match - 1));
    on("search", "submit", (event) => {
      event.preventDefault();
      if (this.elsewhere !== undefined) {
        byId("space").value = this.elsewhere;
        this.choose(this.elsewhere);
      } else {
        this.toMatch(this.match + 1);
      }
    });
    document.addEventListener("keydown", (event) => this.key(event));
    addEventListener("beforeprint", () => this.preparePrint());
    addEventListener("afterprint", () => byId("print").replaceChildren());
    matchMedia("print").addEventListener("change", (event) => {
      if (event.matches && !byId("print").firstChild) this.preparePrint();
    });
  }

  key(event) {
    const typing = event.target.matches("input[type=search], select, textarea");
    if (event.ctrlKey || event.metaKey || event.altKey || typing || byId("help").open) return;
    const { map } = this, keys = {
      "/": () => { byId("query").focus(); byId("query").select(); },
      "+": () => map.zoom(1.6), "=": () => map.zoom(1.6), "-": () => map.zoom(1 / 1.6), "_": () => map.zoom(1 / 1.6), 0: () => map.fit(),
      d: () => this.setDisabled(!this.withDisabled), "?": () => byId("help").showModal(),
      "[": () => this.toStep(this.n - 1), "]": () => this.toStep(this.n + 1),
      Escape: () => this.letGo(),
    };
    if (event.key === " " && this.timeline && event.target === byId("map")) this.timeline.play();
    else if (keys[event.key]) keys[event.key]();
    else return;
    event.preventDefault();
  }

  letGo() {
    this.pinned = this.pointed = null;
    this.treeMarks = [];
    this.light();
    this.showPanel();
  }

  /* ---- paper ---- */

  /* The whole map, in as many bands as keep it legible, and the ranges. */
  preparePrint() {
    const { scene, data } = this, box = byId("print"), width = 1000, units = scene.axis.width;
    const bands = Math.min(12, Math.max(1, Math.ceil((units * 16) / width))), rows = scene.boxes.length * SIZE.row + 6;
    box.replaceChildren(make("h1", {}, `${byId("title").textContent}: ${nameText(this.spaceName || "no space")}` + (data.timeline ? `, step ${this.n} of ${data.steps.length}: ${causeText(data.steps[this.n - 1])}` : "")));
    const key = make("ul", { class: "key" });
    this.showKey(key);
    box.append(key);
    const theme = themeOf(box);
    for (let band = 0; scene.ways.n && band < bands; band++) {
      const height = Picture.height(scene, rows, null), painter = new SvgPainter(width, height);
      new Picture(painter, scene, theme, { width, height, left: 4, x0: (units / bands) * band, scale: ((width - 8) * bands) / units, rowsHeight: rows, scroll: 0,
                                           changes: null, background: false }).draw();
      box.append(painter.svg);
    }
    const table = make("table", {}, make("thead", {}, make("tr", {}, ...["Addresses", "Size", "Region", "Kind", "Offset", "Attributes"].map((text) => make("th", {}, text)))),
      make("tbody", {}, ...this.tableRows(0, PRINT_ROWS, false)));
    box.append(scene.nRanges ? table : make("p", {}, "Nothing is seen in this space."));
    if (scene.nRanges > PRINT_ROWS) box.append(make("p", {}, `and ${plural(scene.nRanges - PRINT_ROWS, "more range")}`));
  }
}
