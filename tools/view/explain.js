/*
 * Who answers at an address and why: what gmem explain says, asked of the same data. tests/gmem-html compares the two.
 */

const FATE = {
  WINS: "wins",
  CONTAINER: "container", /* shows only its subregions, and has none there */
  LOWER: "lower", /* a sibling, of its own or of something it is in, has a higher priority */
  EARLIER: "earlier", /* equal priority: the one placed later wins */
  BELOW_CHILD: "below-child", /* subregions lie over what the region itself shows */
  DISABLED: "disabled", /* it, or something it is seen through */
  OUTSIDE: "outside", /* past the end of what it is in, or of the target of its window */
};

/*
 * Every way in which a region is seen at one address, and those that would be there if what they are seen through did not end
 * before it. Each knows what it is below, and its way in the scene if it has one.
 */
class WaysAt {
  constructor(scene, address) {
    const { state, space, data } = scene;
    this.state = state;
    this.rows = data.rows;
    this.list = [];
    this.order = 0;
    const root = space && space.root >= 0 ? state.rowOf[space.root] : -1;
    if (root >= 0 && address >= this.rows.offset[root]) this.walk(root, null, address - this.rows.offset[root]);
    this.findScene(scene, address);
  }

  walk(row, up, offset) {
    const { rows, state } = this, id = rows.id[row], ended = offset > rows.last[row];
    const node = { row, up, offset, depth: up ? up.depth + 1 : 0, outside: ended || (up !== null && up.outside), ended, end: true, way: -1,
                   enabled: (up === null || up.enabled) && (rows.flags[row] & FLAG.ENABLED) !== 0 };
    if (node.depth > DEPTH_LIMIT || this.list.length > 20000) return;
    /* Nothing is seen through itself; what is disabled or past an end may go in a circle, and once around is enough. */
    if (!node.enabled || node.outside) for (let u = up; u; u = u.up) if (u.row === row) return;
    const self = this.list.push(node);
    if (rows.kind[row] === KIND.ALIAS) {
      const target = rows.target[row] >= 0 ? state.rowOf[rows.target[row]] : -1, there = rows.target_offset[row] + offset;
      if (!ended && target >= 0 && there <= TOP) this.walk(target, node, there);
    } else {
      for (let i = state.begin[id]; i < state.begin[id + 1]; i++) {
        const child = state.rowOf[state.children[i]], begins = rows.offset[child];
        if (begins > offset) continue;
        if (offset - begins > rows.last[child] && (rows.kind[child] === KIND.ALIAS || !state.hasChildren(rows.id[child]))) continue;
        this.walk(child, node, offset - begins);
      }
    }
    node.end = this.list.length === self;
    if (ended && node.end) this.list.pop();
    else node.order = this.order++;
  }

  /* A region has one place in what is above it: that, and what it is below, names its way. */
  findScene(scene, address) {
    const byPlace = new Map();
    if (!scene.nSegments || address < scene.data.first || address > scene.data.last) return;
    for (const w of scene.waysAt(address)) byPlace.set(scene.ways.up[w] + ":" + scene.ways.row[w], w);
    for (const node of this.list) {
      const way = node.outside ? undefined : byPlace.get((node.up ? node.up.way : -1) + ":" + node.row);
      if (way !== undefined) node.way = way;
    }
  }
}

function chainOf(node) {
  const chain = [];
  for (let n = node; n; n = n.up) chain.push(n);
  return chain.reverse();
}

function explain(scene, address) {
  const { rows } = scene.data, at = new WaysAt(scene, address).list;
  const answers = (node) => LEAF(rows.kind[node.row]), could = (node) => node.enabled && !node.outside && answers(node);
  const candidates = at.filter((node) => !node.ended && (node.end || answers(node))).sort((a, b) => a.order - b.order).map((node) => ({ node, row: node.row, way: node.way, offset: node.offset }));
  const first = candidates.findIndex(({ node }) => could(node));
  const winner = first >= 0 ? candidates[first].node : null;
  for (const candidate of candidates) Object.assign(candidate, fateOf(rows, candidate.node, winner));
  if (first > 0) candidates.unshift(...candidates.splice(first, 1));
  const result = { address, found: winner !== null, winner: winner ? winner.way : -1, candidates, without: [], next: -1 };
  if (!winner) return result;
  result.range = scene.rangeOf[scene.segmentAt(address)];
  for (let node = winner; node; node = node.up) {
    const next = candidates.findIndex((candidate, i) => i > 0 && could(candidate.node) && !chainOf(candidate.node).some((n) => n.row === node.row));
    result.without.push({ row: node.row, next });
  }
  result.next = result.without[0].next;
  return result;
}

function fateOf(rows, node, winner) {
  if (node === winner) return { fate: FATE.WINS, by: -1, against: -1 };
  const mine = chainOf(node), pastTarget = rows.kind[node.row] === KIND.ALIAS && rows.target[node.row] >= 0 && node.end;
  if (node.outside) {
    const ended = mine.findIndex((n) => n.ended);
    return { fate: FATE.OUTSIDE, by: mine[ended].row, against: mine[ended + 1].row };
  }
  if (pastTarget) return { fate: FATE.OUTSIDE, by: -2, against: node.row };
  if (!node.enabled) return { fate: FATE.DISABLED, by: mine.find((n) => !(rows.flags[n.row] & FLAG.ENABLED)).row, against: -1 };
  if (!LEAF(rows.kind[node.row])) return { fate: FATE.CONTAINER, by: -1, against: -1 };
  const theirs = chainOf(winner);
  let i = 0;
  while (i < mine.length && i < theirs.length && mine[i] === theirs[i]) i++;
  if (i === mine.length) return { fate: FATE.BELOW_CHILD, by: theirs[i].row, against: -1 };
  const lower = rows.priority[mine[i].row] < rows.priority[theirs[i].row];
  return { fate: lower ? FATE.LOWER : FATE.EARLIER, by: theirs[i].row, against: mine[i].row };
}

/* One sentence: why a candidate lost. As explain_why() says it. */
function whyText(scene, { node, fate, by, against }) {
  const { data, state } = scene, rows = data.rows, name = (row) => nameText(data.name(row));
  switch (fate) {
    case FATE.DISABLED:
      return by === node.row ? "it is disabled" : `${name(by)}, which it is seen through, is disabled`;
    case FATE.CONTAINER:
      return rows.kind[node.row] === KIND.ALIAS ? "what it is an alias of is not in the source, so nothing is seen through it"
                                                : "it shows only its subregions, and none of them is here";
    case FATE.BELOW_CHILD:
      return `${name(by)}, in it, lies over what it shows itself`;
    case FATE.LOWER:
    case FATE.EARLIER: {
      const within = name(state.rowOf[rows.parent[by]]);
      return fate === FATE.LOWER ? `${name(by)} (prio ${rows.priority[by]}) lies over it: higher priority than ${name(against)} (prio ${rows.priority[against]}) in ${within}`
                                 : `${name(by)} lies over it: same priority (${rows.priority[by]}) in ${within} as ${name(against)}, which was placed earlier`;
    }
    case FATE.OUTSIDE: {
      const end = by >= 0 ? by : state.rowOf[rows.target[against]], off = [...chainOf(node)].reverse().find((n) => !(rows.flags[n.row] & FLAG.ENABLED));
      const disabled = off ? `; and ${name(off.row)} is disabled` : "";
      const window = rows.kind[against] === KIND.ALIAS && rows.target[against] === rows.id[end];
      return (window ? `the window ${name(against)} reaches past the end of its target ${name(end)}` : `${name(against)} reaches past the end of ${name(end)}`) +
        `, whose last offset is ${hex(rows.last[end])}${disabled}`;
    }
    default:
      return "";
  }
}

/* What an access does there, in the words of gmem explain. */
function accessText(data, row, attrs) {
  const readonly = (attrs & FLAG.READONLY) !== 0;
  switch (data.rows.kind[row]) {
    case KIND.RAM:
    case KIND.ROM:
      return readonly ? "reads memory; writes are dropped" : "reads and writes memory";
    case KIND.ROMD:
      if (attrs & FLAG.ROMD) return readonly ? "reads memory; writes are dropped" : "reads memory; writes go to the device's callbacks";
      break;
    case KIND.RAM_DEVICE:
      return readonly ? "reads the device's memory; writes are dropped" : "reads and writes the device's memory, each access as wide as the guest made it";
    case KIND.RESERVED:
      return "nobody answers: the addresses are claimed, accesses fail";
    case KIND.IOMMU:
      return "goes where the IOMMU translates it to";
  }
  return readonly ? "reads go to the device's callbacks; writes are dropped" : "reads and writes go to the device's callbacks";
}

/* Attributes that come from something else than the winner itself: [attribute, row]. */
function inherited(scene, winner) {
  const { ways, data } = scene, from = [];
  const own = data.rows.flags[ways.row[winner]];
  for (const [flag, word] of [[FLAG.READONLY, "readonly"], [FLAG.NONVOLATILE, "nonvolatile"]]) {
    if (!(ways.attrs[winner] & flag) || own & flag) continue;
    const giver = ways.chain(winner).find((u) => data.rows.flags[ways.row[u]] & flag);
    if (giver !== undefined) from.push([word, ways.row[giver]]);
  }
  return from;
}
