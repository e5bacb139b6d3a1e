/* The tree of regions as info mtree prints it: a list of which only the visible part is in the document. */

const TREE_ROW = 24;

class TreeView {
  constructor(element, app) {
    this.element = element;
    this.app = app;
    this.closed = new Set();
    this.spacer = make("div", { class: "spacer", role: "presentation" });
    element.append(this.spacer);
    this.active = -1;
    element.addEventListener("scroll", () => this.paint());
    element.addEventListener("keydown", (event) => this.key(event));
    element.addEventListener("click", (event) => this.click(event));
    element.addEventListener("pointerover", (event) => {
      const item = event.target.closest("[data-index]");
      if (item) app.pointRegion(this.ids[item.dataset.index], false);
    });
    element.addEventListener("pointerleave", () => app.leaveTree());
    element.addEventListener("focus", () => {
      if (this.active < 0) this.active = 0;
      this.paint();
    });
    new ResizeObserver(() => this.paint()).observe(element);
  }

  show(scene) {
    this.scene = scene;
    this.flatten();
  }

  /* What is open, from the top: the space's tree, then every region that a window shows and that is placed nowhere. */
  flatten() {
    const { scene } = this, { state, data } = scene, rows = data.rows;
    const ids = [], depths = [], ups = [], roots = [], seen = new Set();
    const activeId = this.active >= 0 ? this.ids[this.active] : -1;
    const add = (id, depth, up) => {
      const self = ids.length, row = state.rowOf[id];
      ids.push(id);
      depths.push(depth);
      ups.push(up);
      const target = rows.kind[row] === KIND.ALIAS ? rows.target[row] : -1;
      if (target >= 0 && state.rowOf[target] >= 0) addRoot(target);
      const hidden = this.closed.has(id);
      for (let i = state.begin[id]; i < state.begin[id + 1]; i++)
        if (!hidden) add(state.children[i], depth + 1, self);
        else noteTargets(state.children[i]);
    };
    const noteTargets = (id) => {
      const row = state.rowOf[id];
      if (rows.kind[row] === KIND.ALIAS && rows.target[row] >= 0 && state.rowOf[rows.target[row]] >= 0) addRoot(rows.target[row]);
      for (let i = state.begin[id]; i < state.begin[id + 1]; i++) noteTargets(state.children[i]);
    };
    const addRoot = (id) => {
      while (rows.parent[state.rowOf[id]] >= 0) id = rows.parent[state.rowOf[id]];
      if (!seen.has(id)) {
        seen.add(id);
        roots.push(id);
      }
    };
    if (scene.space && scene.space.root >= 0 && state.rowOf[scene.space.root] >= 0) addRoot(scene.space.root);
    for (let i = 0; i < roots.length; i++) add(roots[i], 0, -1);
    this.ids = ids;
    this.depths = depths;
    this.ups = ups;
    this.index = new Map(ids.map((id, i) => [id, i]));
    this.active = this.index.has(activeId) ? this.index.get(activeId) : -1;
    this.spacer.style.height = ids.length * TREE_ROW + "px";
    byId("tree-empty").hidden = ids.length > 0;
    this.paint();
  }

  paint() {
    if (!this.scene) return;
    const { element, ids } = this, top = element.scrollTop, height = element.clientHeight;
    const from = Math.max(0, Math.floor(top / TREE_ROW) - 4), to = Math.min(ids.length, Math.ceil((top + height) / TREE_ROW) + 4);
    const items = [];
    for (let i = from; i < to; i++) items.push(this.item(i));
    this.spacer.replaceChildren(...items);
    if (this.active >= from && this.active < to) element.setAttribute("aria-activedescendant", "tree-" + this.active);
    else element.removeAttribute("aria-activedescendant");
  }

  item(i) {
    const { scene, app } = this, { data, state } = scene, rows = data.rows, id = this.ids[i], row = state.rowOf[id];
    const parent = state.hasChildren(id), flags = rows.flags[row], alias = rows.kind[row] === KIND.ALIAS;
    const where = rows.offset[row], lit = app.litRegions.has(id);
    const target = alias && rows.target[row] >= 0 ? state.rowOf[rows.target[row]] : -1;
    const name = nameText(data.name(row)) + (target >= 0 ? " → " + nameText(data.name(target)) : "");
    const off = !(flags & FLAG.ENABLED);
    return make("div", {
      id: "tree-" + i, role: "treeitem", "data-index": i, "aria-level": this.depths[i] + 1, "aria-expanded": parent ? String(!this.closed.has(id)) : null,
      "aria-selected": String(app.shownRegion === id),
      class: "item" + (lit ? " lit" : "") + (off ? " off" : "") + (i === this.active ? " active" : ""),
      style: `top:${i * TREE_ROW}px;padding-left:${6 + Math.min(this.depths[i], 24) * 13}px`,
      title: `${name}\n${KIND_NAMES[rows.kind[row]]}, at ${hex(where)} in its container, ${sizeText(rows.last[row])}, priority ${rows.priority[row]}` +
        (off ? ", disabled" : "") + (rows.owner[row] >= 0 ? "\n" + plainText(data.text(rows.owner[row])) : ""),
    },
    make("span", { class: "twist", "aria-hidden": "true" }, parent ? (this.closed.has(id) ? "▸" : "▾") : ""),
    make("span", { class: "chip " + colorOf(data, row), "aria-hidden": "true" }),
    make("span", { class: "name" }, name),
    make("span", { class: "what" }, KIND_NAMES[rows.kind[row]] + (rows.priority[row] ? ` · prio ${rows.priority[row]}` : "")),
    off ? make("span", { class: "badge" }, "disabled") : null);
  }

  /* Bring a region into sight, opening what it is in. */
  reveal(id) {
    const { state, data } = this.scene;
    let opened = false;
    for (let row = state.rowOf[id]; row >= 0 && data.rows.parent[row] >= 0; row = state.rowOf[data.rows.parent[row]])
      opened = this.closed.delete(data.rows.parent[row]) || opened;
    if (opened) this.flatten();
    const i = this.index.get(id);
    if (i === undefined) return;
    const y = i * TREE_ROW, { element } = this;
    if (y < element.scrollTop + TREE_ROW || y + 2 * TREE_ROW > element.scrollTop + element.clientHeight)
      element.scrollTop = y - element.clientHeight / 2;
    this.active = i;
    this.paint();
  }

  toggle(i, open) {
    const id = this.ids[i];
    if (!this.scene.state.hasChildren(id)) return;
    if (open) this.closed.delete(id);
    else this.closed.add(id);
    this.flatten();
  }

  click(event) {
    const item = event.target.closest("[data-index]");
    if (!item) return;
    const i = Number(item.dataset.index);
    this.active = i;
    if (event.target.classList.contains("twist")) this.toggle(i, this.closed.has(this.ids[i]));
    else this.app.pointRegion(this.ids[i], true);
    this.paint();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.ids.length) return;
    const i = Math.max(this.active, 0), parent = this.scene.state.hasChildren(this.ids[i]), closed = this.closed.has(this.ids[i]);
    let to = -1;
    if (event.key === "ArrowDown") to = i + 1;
    else if (event.key === "ArrowUp") to = i - 1;
    else if (event.key === "Home") to = 0;
    else if (event.key === "End") to = this.ids.length - 1;
    else if (event.key === "ArrowRight" && parent && closed) this.toggle(i, true);
    else if (event.key === "ArrowRight") to = parent ? i + 1 : i;
    else if (event.key === "ArrowLeft" && parent && !closed) this.toggle(i, false);
    else if (event.key === "ArrowLeft") to = this.ups[i] >= 0 ? this.ups[i] : i;
    else if (event.key === "Enter" || event.key === " ") this.app.pointRegion(this.ids[i], true);
    else return;
    event.preventDefault();
    event.stopPropagation();
    if (to < 0) return;
    this.active = Math.min(Math.max(to, 0), this.ids.length - 1);
    this.app.pointRegion(this.ids[this.active], false);
    this.reveal(this.ids[this.active]);
  }
}
