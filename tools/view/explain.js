/*
 * Who answers at an address and why: what gmem explain says, asked of the same data. tests/gmem-html compares the two.
 */

const FATE = {
  WINS: "wins",
  CONTAINER: "container",
  LOWER: "lower",
  EARLIER: "earlier",
  BELOW_CHILD: "below-child",
  DISABLED: "disabled",
};

function explain(scene, address) {
  const { ways, data } = scene, rows = data.rows, at = scene.waysAt(address);
  const winner = scene.winner[scene.segmentAt(address)];
  const found = winner !== undefined && winner >= 0;
  const result = { address, found, winner: found ? winner : -1, candidates: [], next: -1, without: [] };
  for (const w of at) result.candidates.push({ way: w, offset: ways.offset[w] + (address - ways.first[w]), ...fateOf(scene, w, result.winner) });
  if (found) {
    result.range = scene.rangeOf[scene.segmentAt(address)];
    result.candidates.sort((a, b) => (b.way === winner) - (a.way === winner));
    for (const w of ways.chain(winner).reverse()) {
      const next = nextWithout(scene, at, rows.id[ways.row[w]]);
      result.without.push({ row: ways.row[w], next });
    }
    result.next = result.without[0].next;
  }
  return result;
}

/* Who would answer if the region were disabled, with everything that is seen through it. */
function nextWithout(scene, at, id) {
  const { ways, data } = scene;
  for (const w of at) {
    if (!ways.enabled[w] || !ways.leaf(w)) continue;
    let through = false;
    for (let u = w; u >= 0; u = ways.up[u]) through = through || data.rows.id[ways.row[u]] === id;
    if (!through) return w;
  }
  return -1;
}

function fateOf(scene, w, winner) {
  const { ways, data } = scene, rows = data.rows;
  if (w === winner) return { fate: FATE.WINS, by: -1, against: -1 };
  if (!ways.enabled[w]) {
    const off = ways.chain(w).find((u) => !(rows.flags[ways.row[u]] & FLAG.ENABLED));
    return { fate: FATE.DISABLED, by: ways.row[off], against: -1 };
  }
  if (!ways.leaf(w)) return { fate: FATE.CONTAINER, by: -1, against: -1 };
  const mine = ways.chain(w), theirs = ways.chain(winner);
  let i = 0;
  while (i < mine.length && i < theirs.length && mine[i] === theirs[i]) i++;
  if (i === mine.length) return { fate: FATE.BELOW_CHILD, by: ways.row[theirs[i]], against: -1 };
  const a = ways.row[mine[i]], b = ways.row[theirs[i]];
  return { fate: rows.priority[b] > rows.priority[a] ? FATE.LOWER : FATE.EARLIER, by: b, against: a };
}

/* One sentence: why a candidate lost. */
function whyText(scene, candidate) {
  const { data, ways } = scene, rows = data.rows, row = ways.row[candidate.way];
  const named = (r) => `${nameText(data.name(r))} (priority ${rows.priority[r]})`;
  switch (candidate.fate) {
    case FATE.DISABLED:
      return candidate.by === row ? "It is disabled." : `${nameText(data.name(candidate.by))}, which it is seen through, is disabled.`;
    case FATE.CONTAINER:
      return rows.kind[row] === KIND.ALIAS
        ? rows.target[row] < 0 ? "An alias without a target: nothing is seen through it." : "A window: it shows its target, nothing of its own."
        : "A container: it shows only its subregions.";
    case FATE.BELOW_CHILD:
      return `Its subregion ${nameText(data.name(candidate.by))} lies over it.`;
    case FATE.LOWER:
      return candidate.against === row
        ? `${named(candidate.by)} lies over it: higher priority than its ${rows.priority[row]}.`
        : `${named(candidate.by)} lies over ${named(candidate.against)}, which it is seen through.`;
    case FATE.EARLIER:
      return `${named(candidate.by)} was placed later than ${candidate.against === row ? "it" : named(candidate.against)} at the same priority: the later one wins.`;
    default:
      return "";
  }
}

/* What an access does there. */
function accessText(data, row, attrs) {
  switch (data.rows.kind[row]) {
    case KIND.RAM:
      return attrs & FLAG.READONLY ? "Reads are memory; writes are dropped." : "Reads and writes are memory.";
    case KIND.ROM:
      return "Reads are memory; writes are dropped.";
    case KIND.ROMD:
      return attrs & FLAG.ROMD ? "Reads are memory; writes go to the device" + (attrs & FLAG.READONLY ? "'s region but are dropped." : ".")
                               : attrs & FLAG.READONLY ? "Reads go to the device; writes are dropped." : "Reads and writes go to the device.";
    case KIND.RAM_DEVICE:
      return attrs & FLAG.READONLY ? "Reads go to the device's memory; writes are dropped." : "Reads and writes go to the device's memory.";
    case KIND.RESERVED:
      return "Nothing answers, and nothing below shows through.";
    case KIND.IOMMU:
      return "Accesses are translated and go elsewhere.";
    default:
      return attrs & FLAG.READONLY ? "Reads go to the device; writes are dropped." : "Reads and writes go to the device.";
  }
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
