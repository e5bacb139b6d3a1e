/* The machine's data as the program embedded it, and its states: which row each region has after a number of steps. */

const TOP = (1n << 64n) - 1n;
const KIND = { CONTAINER: 0, RAM: 1, ROM: 2, ROMD: 3, MMIO: 4, ALIAS: 5, RESERVED: 6, IOMMU: 7, RAM_DEVICE: 8 };
const FLAG = { ENABLED: 1, READONLY: 2, NONVOLATILE: 4, ROMD: 8, IMPLIED: 16 };

/* A column of addresses is one string until somebody asks for it. */
function addresses(column) {
  const words = column === "" ? [] : column.split(" ");
  const out = new BigUint64Array(words.length);
  for (let i = 0; i < words.length; i++) out[i] = BigInt("0x" + words[i]);
  return out;
}

class Data {
  constructor(text) {
    const from = JSON.parse(text);
    this.title = from.title;
    this.source = from.source;
    this.space = from.space;
    this.first = BigInt("0x" + from.first);
    this.last = BigInt("0x" + from.last);
    this.texts = from.texts;
    this.rows = from.rows;
    this.guesses = from.guesses;
    this.timeline = from.timeline;
    this.steps = from.steps;
    this.nIds = 0;
    for (const name of ["offset", "last", "target_offset"]) this.rows[name] = addresses(from.rows[name]);
    for (const id of this.rows.id) if (id >= this.nIds) this.nIds = id + 1;
    let row = 0;
    for (const step of this.steps) {
      step.firstRow = row;
      row += step.rows;
    }
    this.states = new Map();
    this.at = { n: 0, rowOf: new Int32Array(this.nIds).fill(-1), spaces: [] };
  }

  text(index) {
    return index < 0 ? "" : this.texts[index];
  }

  name(row) {
    return this.text(this.rows.name[row]);
  }

  /* The machine after n steps. Going back begins again from the first: a state is only differences. */
  state(n) {
    const known = this.states.get(n);
    if (known) return known;
    if (n < this.at.n) this.at = { n: 0, rowOf: new Int32Array(this.nIds).fill(-1), spaces: [] };
    while (this.at.n < n) {
      const step = this.steps[this.at.n++];
      for (let row = step.firstRow; row < step.firstRow + step.rows; row++) this.at.rowOf[this.rows.id[row]] = row;
      for (const id of step.gone) this.at.rowOf[id] = -1;
      if (step.spaces) this.at.spaces = step.spaces;
    }
    const state = new State(this, this.at.rowOf.slice(), this.at.spaces);
    if (this.states.size > 64) this.states.clear();
    this.states.set(n, state);
    return state;
  }
}

/* One machine: rows by region id, and for each region its subregions in the order in which they win. */
class State {
  constructor(data, rowOf, spaces) {
    this.data = data;
    this.rowOf = rowOf;
    this.spaces = spaces.map(([name, root, line]) => ({ name: data.text(name), root, line }));
    this.sortChildren();
  }

  sortChildren() {
    const { rows, nIds } = this.data;
    const begin = new Int32Array(nIds + 1);
    for (let id = 0; id < nIds; id++) {
      const row = this.rowOf[id];
      if (row >= 0 && rows.parent[row] >= 0) begin[rows.parent[row] + 1]++;
    }
    for (let id = 0; id < nIds; id++) begin[id + 1] += begin[id];
    const fill = begin.slice();
    const children = new Int32Array(begin[nIds]);
    for (let id = 0; id < nIds; id++) {
      const row = this.rowOf[id];
      if (row >= 0 && rows.parent[row] >= 0) children[fill[rows.parent[row]]++] = id;
    }
    const order = (a, b) => {
      const x = this.rowOf[a], y = this.rowOf[b];
      return rows.priority[y] - rows.priority[x] || rows.rank[x] - rows.rank[y] ||
        (rows.offset[x] < rows.offset[y] ? -1 : rows.offset[x] > rows.offset[y] ? 1 : x - y);
    };
    for (let id = 0; id < nIds; id++) {
      let sorted = true;
      for (let i = begin[id] + 1; sorted && i < begin[id + 1]; i++) sorted = order(children[i - 1], children[i]) <= 0;
      if (!sorted) children.subarray(begin[id], begin[id + 1]).sort(order);
    }
    this.begin = begin;
    this.children = children;
  }

  hasChildren(id) {
    return this.begin[id] !== this.begin[id + 1];
  }

  space(name) {
    return this.spaces.find((space) => space.name === name);
  }
}

/* Kinds as people name them, and as the style sheet names their colours. */
const KIND_NAMES = ["container", "RAM", "ROM", "ROM device", "device", "alias", "reserved", "IOMMU", "RAM of a device"];
const KIND_COLORS = ["container", "ram", "rom", "romd", "device", "alias", "reserved", "iommu", "ramd"];

function colorOf(data, row) {
  const kind = data.rows.kind[row];
  return kind === KIND.ROMD && !(data.rows.flags[row] & FLAG.ROMD) ? "device" : KIND_COLORS[kind];
}
