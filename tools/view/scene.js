/*
 * What one space shows in one state: every way in which a region is seen, the segments between all their boundaries, who
 * wins each segment, and where things go on the page.
 */

const WAYS_LIMIT = 400000;
const DEPTH_LIMIT = 128;
const LEAF = (kind) => kind !== KIND.CONTAINER && kind !== KIND.ALIAS;

/*
 * Ways, as parallel arrays: each behind the one that it is below; the order is that of leaving, since a subregion lies over
 * what its container itself shows. Of two enabled ways at an address the one of lower order is asked first.
 */
class Ways {
  constructor(state, space, clipFirst, clipLast) {
    this.state = state;
    this.rows = state.data.rows;
    this.row = [];
    this.up = [];
    this.depth = [];
    this.first = [];
    this.last = [];
    this.offset = [];
    this.order = [];
    this.enabled = [];
    this.cut = [];
    this.attrs = [];
    this.full = false;
    this.clipFirst = clipFirst;
    this.clipLast = clipLast;
    this.counter = 0;
    if (space && space.root >= 0 && state.rowOf[space.root] >= 0) {
      const row = state.rowOf[space.root];
      this.walk(row, -1, 0, 0n, TOP, true, 0, 0n, this.rows.offset[row]);
    }
    this.n = this.row.length;
  }

  /* The region begins later bytes behind first, or skip of its bytes lie before that. */
  walk(row, up, depth, first, last, enabled, attrs, skip, later) {
    const own = this.rows.last[row];
    if (later > last - first || skip > own) return;
    const begin = first + later;
    const room = last - begin, left = own - skip;
    const cut = skip > 0n || left > room;
    const end = left < room ? begin + left : last;
    if (end < this.clipFirst || begin > this.clipLast) return;
    /* Nothing is seen through itself; what is disabled may go in a circle, and once around is enough. */
    if (!enabled || !(this.rows.flags[row] & FLAG.ENABLED)) for (let u = up; u >= 0; u = this.up[u]) if (this.row[u] === row) return;
    if (this.row.length >= WAYS_LIMIT || depth > DEPTH_LIMIT) {
      this.full = true;
      return;
    }
    const flags = this.rows.flags[row], self = this.row.length;
    const on = enabled && (flags & FLAG.ENABLED) !== 0;
    let mine = (attrs & ~FLAG.ROMD) | (flags & (FLAG.READONLY | FLAG.NONVOLATILE));
    if (this.rows.kind[row] === KIND.ROMD) mine |= flags & FLAG.ROMD;
    this.row.push(row);
    this.up.push(up);
    this.depth.push(depth);
    this.first.push(begin);
    this.last.push(end);
    this.offset.push(skip);
    this.order.push(0);
    this.enabled.push(on);
    this.cut.push(cut);
    this.attrs.push(mine);
    if (this.rows.kind[row] === KIND.ALIAS) {
      const target = this.rows.target[row], at = this.rows.target_offset[row] + skip;
      if (target >= 0 && this.state.rowOf[target] >= 0 && at <= TOP)
        this.walk(this.state.rowOf[target], self, depth + 1, begin, end, on, mine, at, 0n);
    } else {
      const { begin: starts, children, rowOf } = this.state, id = this.rows.id[row];
      for (let i = starts[id]; i < starts[id + 1]; i++) {
        const child = rowOf[children[i]], offset = this.rows.offset[child];
        if (offset > skip) this.walk(child, self, depth + 1, begin, end, on, mine, 0n, offset - skip);
        else this.walk(child, self, depth + 1, begin, end, on, mine, skip - offset, 0n);
      }
    }
    this.order[self] = this.counter++;
  }

  leaf(way) {
    return LEAF(this.rows.kind[this.row[way]]);
  }

  chain(way) {
    const chain = [];
    for (let w = way; w >= 0; w = this.up[w]) chain.push(w);
    return chain.reverse();
  }
}

/* Every address where something begins or the one behind where something ends, ascending, with 0 or the clip's first. */
function boundariesOf(ways) {
  const all = new BigUint64Array(2 * ways.n + 1);
  let n = 0;
  all[n++] = ways.clipFirst;
  for (let w = 0; w < ways.n; w++) {
    if (ways.first[w] > ways.clipFirst) all[n++] = ways.first[w];
    if (ways.last[w] < ways.clipLast) all[n++] = ways.last[w] + 1n;
  }
  return unique(all.subarray(0, n));
}

function unique(all) {
  all.sort();
  let n = 0;
  for (let i = 0; i < all.length; i++) if (i === 0 || all[i] !== all[n - 1]) all[n++] = all[i];
  return all.slice(0, n);
}

function merged(a, b) {
  const all = new BigUint64Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  return unique(all);
}

/*
 * From addresses to units along the page. Segment s holds [starts[s], the next one's start - 1]. Its width grows with the
 * logarithm of its size, so that small things next to huge ones stay visible; where nothing is, it is folded.
 */
class Axis {
  constructor(starts, last, empty) {
    this.starts = starts;
    this.last = last;
    this.n = starts.length;
    this.empty = empty;
    this.x = new Float64Array(this.n + 1);
    for (let s = 0; s < this.n; s++) {
      const less1 = this.end(s) - starts[s], bits = less1 ? Math.log2(Number(less1)) : 0;
      this.x[s + 1] = this.x[s] + (empty && empty[s] ? 2 : 1.4 + (bits / 11) ** 1.6);
    }
    this.width = this.x[this.n];
  }

  end(s) {
    return s + 1 < this.n ? this.starts[s + 1] - 1n : this.last;
  }

  /* The segment that holds the address. */
  find(address) {
    let low = 0, high = this.n;
    while (low + 1 < high) {
      const middle = (low + high) >> 1;
      if (this.starts[middle] <= address) low = middle;
      else high = middle;
    }
    return low;
  }

  /* The segment that x is in. */
  at(x) {
    let low = 0, high = this.n;
    while (low + 1 < high) {
      const middle = (low + high) >> 1;
      if (this.x[middle] <= x) low = middle;
      else high = middle;
    }
    return low;
  }

  position(address) {
    const s = this.find(address);
    const size = this.end(s) - this.starts[s] + 1n;
    return this.x[s] + (this.x[s + 1] - this.x[s]) * (Number(address - this.starts[s]) / Number(size));
  }

  address(x) {
    const s = this.at(Math.min(Math.max(x, 0), this.width));
    const part = (x - this.x[s]) / (this.x[s + 1] - this.x[s]);
    const size = this.end(s) - this.starts[s] + 1n;
    const off = (size * BigInt(Math.round(Math.min(Math.max(part, 0), 1) * 2 ** 30))) >> 30n;
    return this.starts[s] + (off < size ? off : size - 1n);
  }
}

/* The greatest value set in a range so far: what is already piled up there. */
class Piles {
  constructor(n) {
    this.size = 1;
    while (this.size < n) this.size *= 2;
    this.max = new Int32Array(2 * this.size);
    this.all = new Int32Array(2 * this.size);
  }

  get(from, to, node = 1, low = 0, high = this.size) {
    if (from >= high || to <= low) return 0;
    if (from <= low && high <= to) return this.max[node];
    const middle = (low + high) >> 1;
    return Math.max(this.all[node], this.get(from, to, 2 * node, low, middle),
                    this.get(from, to, 2 * node + 1, middle, high));
  }

  raise(from, to, value, node = 1, low = 0, high = this.size) {
    if (from >= high || to <= low) return;
    if (value > this.max[node]) this.max[node] = value;
    if (from <= low && high <= to) {
      if (value > this.all[node]) this.all[node] = value;
      return;
    }
    const middle = (low + high) >> 1;
    this.raise(from, to, value, 2 * node, low, middle);
    this.raise(from, to, value, 2 * node + 1, middle, high);
  }
}

class Scene {
  /* others: boundaries of other states that the axis has to hold too, so that it stays while time goes by; or null. */
  constructor(data, state, spaceName, others, emptyAt) {
    this.data = data;
    this.state = state;
    this.space = state.space(spaceName);
    this.ways = new Ways(state, this.space, data.first, data.last);
    const starts = others || boundariesOf(this.ways);
    this.nSegments = starts.length;
    this.starts = starts;
    this.findSpans();
    this.findWinners();
    this.axis = emptyAt || new Axis(starts, data.last, this.empty());
    this.findRanges();
  }

  /* Segments of each way: from, to (exclusive). */
  findSpans() {
    const { ways, starts } = this, n = ways.n;
    const find = (address) => {
      let low = 0, high = starts.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (starts[middle] < address) low = middle + 1;
        else high = middle;
      }
      return low;
    };
    this.from = new Int32Array(n);
    this.to = new Int32Array(n);
    for (let w = 0; w < n; w++) {
      this.from[w] = ways.first[w] <= ways.clipFirst ? 0 : find(ways.first[w]);
      this.to[w] = ways.last[w] >= ways.clipLast ? starts.length : find(ways.last[w] + 1n);
    }
    this.byOrder = new Int32Array(n);
    for (let w = 0; w < n; w++) this.byOrder[ways.order[w]] = w;
  }

  /* Who answers in each segment: ways paint what is not painted yet, in the order in which they are asked. */
  findWinners() {
    const { ways, nSegments } = this;
    const next = new Int32Array(nSegments + 1);
    for (let s = 0; s <= nSegments; s++) next[s] = s;
    const free = (s) => {
      while (next[s] !== s) s = next[s] = next[next[s]];
      return s;
    };
    this.winner = new Int32Array(nSegments).fill(-1);
    for (let i = 0; i < ways.n; i++) {
      const w = this.byOrder[i];
      if (!ways.enabled[w] || !ways.leaf(w)) continue;
      for (let s = free(this.from[w]); s < this.to[w]; s = free(s + 1)) {
        this.winner[s] = w;
        next[s] = s + 1;
      }
    }
  }

  /* Segments that no leaf is in, be it enabled or not. */
  empty() {
    const delta = new Int32Array(this.nSegments + 1), empty = new Uint8Array(this.nSegments);
    for (let w = 0; w < this.ways.n; w++)
      if (this.ways.leaf(w)) {
        delta[this.from[w]]++;
        delta[this.to[w]]--;
      }
    for (let s = 0, sum = 0; s < this.nSegments; s++) {
      sum += delta[s];
      empty[s] = sum === 0 ? 1 : 0;
    }
    return empty;
  }

  /* The flat view: neighbours that go on with the same region and attributes are one range. Parallel arrays again. */
  findRanges() {
    const { ways, winner } = this;
    const rows = this.data.rows;
    this.rangeFrom = [];
    this.rangeTo = [];
    this.rangeWay = [];
    this.rangeOf = new Int32Array(this.nSegments).fill(-1);
    for (let s = 0; s < this.nSegments; s++) {
      const w = winner[s];
      if (w < 0) continue;
      const n = this.rangeWay.length, p = n && this.rangeTo[n - 1] === s ? this.rangeWay[n - 1] : -1;
      const goesOn = p >= 0 && (p === w || (rows.id[ways.row[p]] === rows.id[ways.row[w]] && ways.attrs[p] === ways.attrs[w] &&
        ways.first[p] - ways.offset[p] === ways.first[w] - ways.offset[w]));
      if (goesOn) {
        this.rangeTo[n - 1] = s + 1;
      } else {
        this.rangeFrom.push(s);
        this.rangeTo.push(s + 1);
        this.rangeWay.push(w);
      }
      this.rangeOf[s] = this.rangeWay.length - 1;
    }
    this.nRanges = this.rangeWay.length;
  }

  start(s) {
    return this.starts[s];
  }

  endOf(s) {
    return s + 1 < this.nSegments ? this.starts[s + 1] - 1n : this.data.last;
  }

  range(r) {
    const { ways } = this, w = this.rangeWay[r], first = this.starts[this.rangeFrom[r]];
    return { first, last: this.endOf(this.rangeTo[r] - 1), way: w, row: ways.row[w], attrs: ways.attrs[w],
             offset: ways.offset[w] + (first - ways.first[w]) };
  }

  /*
   * Rows of the picture, from the bottom: each way lies on what is asked after it, so that whoever looks from above sees what
   * answers. A leaf under an alias that shows nothing else is drawn in the alias's box. Of what is disabled, what is below it
   * is left out.
   */
  layOut(withDisabled) {
    if (this.laidOut === withDisabled) return;
    this.laidOut = withDisabled;
    const { ways } = this, rows = this.data.rows, piles = new Piles(this.nSegments);
    this.level = new Int32Array(ways.n).fill(-1);
    this.shows = new Int32Array(ways.n).fill(-1);
    this.boxes = [];
    for (let w = 1; w < ways.n; w++)
      if (rows.kind[ways.row[ways.up[w]]] === KIND.ALIAS && ways.leaf(w) && !this.state.hasChildren(rows.id[ways.row[w]]))
        this.shows[ways.up[w]] = w;
    for (let i = ways.n - 1; i >= 0; i--) {
      const w = this.byOrder[i], up = ways.up[w];
      if ((!ways.enabled[w] && (!withDisabled || (up >= 0 && !ways.enabled[up]))) || (up >= 0 && this.shows[up] === w)) continue;
      const level = piles.get(this.from[w], this.to[w]);
      piles.raise(this.from[w], this.to[w], level + 1);
      this.level[w] = level;
      (this.boxes[level] = this.boxes[level] || []).push(w);
    }
    for (const level of this.boxes) level.sort((a, b) => this.from[a] - this.from[b]);
  }

  /* The region that colours a way's box. */
  face(w) {
    return this.shows && this.shows[w] >= 0 ? this.shows[w] : w;
  }

  /* All ways at an address, in the order in which they are asked. */
  waysAt(address) {
    const { ways } = this, found = [], s = this.segmentAt(address);
    for (let w = 0; w < ways.n; w++) if (this.from[w] <= s && s < this.to[w]) found.push(w);
    return found.sort((a, b) => ways.order[a] - ways.order[b]);
  }

  segmentAt(address) {
    let low = 0, high = this.nSegments;
    while (low + 1 < high) {
      const middle = (low + high) >> 1;
      if (this.starts[middle] <= address) low = middle;
      else high = middle;
    }
    return low;
  }

  /* The way that has a box in this row and segment, or -1. */
  boxAt(level, segment) {
    const boxes = this.boxes[level] || [];
    let low = 0, high = boxes.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.to[boxes[middle]] <= segment) low = middle + 1;
      else high = middle;
    }
    return low < boxes.length && this.from[boxes[low]] <= segment ? boxes[low] : -1;
  }

  waysOfRegion(id) {
    const found = [], rows = this.data.rows;
    for (let w = 0; w < this.ways.n; w++) if (rows.id[this.ways.row[w]] === id) found.push(w);
    return found;
  }
}
