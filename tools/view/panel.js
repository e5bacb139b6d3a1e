/* The explanation beside the map. */

Object.assign(App.prototype, {
  showPanel() {
    const now = this.pinned || this.pointed;
    if (!now || !this.scene.nSegments) return this.showOverview();
    const content = this.explanation(explain(this.scene, now.address), now);
    byId("panel").replaceChildren(...content);
  },

  link(text, fn) {
    return make("button", { type: "button", class: "link", onclick: fn }, text);
  },

  regionLink(row) {
    return this.link(nameText(this.data.name(row)), () => this.pointRegion(this.data.rows.id[row], true));
  },

  facts(pairs) {
    return make("dl", { class: "facts" }, ...pairs.filter(([, value]) => value !== "" && value !== null).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
  },

  head(row, sub) {
    const pinned = Boolean(this.pinned);
    return [make("div", { class: "head" }, row >= 0 ? make("span", { class: "chip " + colorOf(this.data, row) }) : null, make("h2", {}, row >= 0 ? nameText(this.data.name(row)) : "Nothing answers"),
      make("button", { type: "button", class: "pin", "aria-pressed": String(pinned), onclick: () => this.togglePin() }, pinned ? "Pinned" : "Pin")), make("p", { class: "sub" }, sub)];
  },

  explanation(answer, now) {
    const { scene, data } = this, { ways } = scene, out = [];
    if (!answer.found) {
      out.push(...this.head(-1, make("code", {}, `at ${hex(answer.address)}`)));
      const s = now.segment;
      out.push(this.facts([["Hole", make("code", {}, this.holeText(s))]]));
    } else {
      const range = scene.range(answer.range), row = range.row, color = data.rows.kind[row];
      out.push(...this.head(row, `${KIND_NAMES[color]}, ${sizeText(range.last - range.first)} here`));
      if (now.way >= 0 && now.way !== answer.winner) out.push(this.pointedNote(answer, now.way));
      out.push(this.winnerFacts(answer, range));
      out.push(make("h3", {}, "The way there"), this.chainList(answer));
      out.push(make("h3", {}, "Without it"), this.withoutText(answer));
    }
    const losers = answer.candidates.filter((candidate) => candidate.fate !== FATE.WINS);
    if (losers.length) out.push(make("h3", {}, answer.found ? "Also there, in the order asked" : "What covers it, and does not answer"), this.loserList(losers));
    out.push(make("h3", {}, "Neighbours"), this.neighbours(now.segment));
    const guesses = this.guessesOf(answer);
    if (guesses.length) out.push(make("h3", {}, "Guessed"), this.guessList(guesses));
    return out;
  },

  holeText(s) {
    const { scene } = this;
    let from = s, to = s;
    while (from > 0 && scene.winner[from - 1] < 0) from--;
    while (to + 1 < scene.nSegments && scene.winner[to + 1] < 0) to++;
    return `${span(scene.starts[from], scene.endOf(to))}, ${sizeText(scene.endOf(to) - scene.starts[from])}`;
  },

  pointedNote(answer, way) {
    const { scene } = this, row = scene.ways.row[way], face = answer.candidates.find((candidate) => candidate.way === way);
    const through = scene.ways.chain(answer.winner).includes(way), inside = answer.candidates.find(({ node }) => chainOf(node).some((n) => n.way === way));
    const why = face ? `does not answer here: ${whyText(scene, face)}.` : through ? "is what it is seen through."
      : inside ? `does not answer here: of ${nameText(this.data.name(inside.row))} in it, ${whyText(scene, inside)}.` : "shows nothing here.";
    return make("p", { class: "note" }, make("b", {}, nameText(this.data.name(row))), " ", why);
  },

  winnerFacts(answer, range) {
    const { scene, data } = this, rows = data.rows, row = range.row, at = range.offset + (answer.address - range.first);
    const code = (text) => make("code", {}, text);
    const memory = [KIND.RAM, KIND.ROM, KIND.ROMD, KIND.RAM_DEVICE].includes(rows.kind[row]);
    const given = inherited(scene, answer.winner), attrs = attrsText(scene, row, range.attrs);
    const among = memory ? data.ramOffset(row) : null;
    return this.facts([
      ["Range", code(span(range.first, range.last))],
      ["Address", answer.address === range.first ? "" : code(hex(answer.address))],
      [memory ? "RAM offset" : "Offset", code(hex(at) + (memory ? ` in ${nameText(data.text(rows.ram[row]) || data.name(row))}` : ""))],
      ["All RAM", among === null ? "" : code(hex(among + at) + " among all RAM")],
      ["Access", accessText(data, row, range.attrs)],
      ["Attributes", attrs ? [attrs, given.length ? ` (${given.map(([word, from]) => `${word} because of ${nameText(data.name(from))}`).join(", ")})` : ""].join("") : ""],
      ["Owner", ownerText(data.text(rows.owner[row]))],
      ["Source", rows.line[row] ? `line ${rows.line[row]}` : ""],
    ].map(([name, value]) => [name, value]));
  },

  chainList(answer) {
    const { scene, data } = this, { ways } = scene, rows = data.rows;
    return make("ol", { class: "chain" }, ...ways.chain(answer.winner).map((w) => {
      const row = ways.row[w];
      return make("li", {}, this.regionLink(row), " ", make("code", {}, "+" + hex(ways.offset[w] + (answer.address - ways.first[w]))),
        make("span", { class: "muted" }, ` ${KIND_NAMES[rows.kind[row]]}` + (rows.priority[row] ? `, prio ${rows.priority[row]}` : "") + (rows.flags[row] & FLAG.READONLY && rows.kind[row] === KIND.ALIAS ? ", readonly" : "")));
    }));
  },

  withoutText(answer) {
    const { data } = this;
    const say = (i) => (i < 0 ? ["nothing would answer"] : [this.regionLink(answer.candidates[i].row), " would answer"]);
    const items = [make("p", {}, "If it were disabled, ", ...say(answer.next), ".")];
    for (const { row, next } of answer.without.slice(1))
      if (next !== answer.next && data.rows.kind[row] === KIND.ALIAS) items.push(make("p", {}, `Without ${nameText(data.name(row))}, `, ...say(next), "."));
    return make("div", {}, ...items);
  },

  loserList(losers) {
    const { scene, data } = this, most = 40;
    const item = (candidate) => {
      const { row } = candidate, why = whyText(scene, candidate);
      return make("li", {}, make("span", { class: "chip " + colorOf(data, row) }), " ", this.regionLink(row), " ", make("code", { class: "muted" }, "+" + hex(candidate.offset)),
        make("p", {}, why.startsWith("it ") ? "I" + why.slice(1) + "." : why + "."));
    };
    const list = make("ol", { class: "lost" }, ...losers.slice(0, most).map(item));
    if (losers.length > most) list.append(make("li", { class: "muted" }, `and ${plural(losers.length - most, "more")}`));
    return list;
  },

  neighbours(segment) {
    const { scene, data } = this, here = scene.rangeOf[segment], pairs = [];
    let before = segment, after = segment;
    while (before >= 0 && (scene.rangeOf[before] < 0 || scene.rangeOf[before] === here)) before--;
    while (after < scene.nSegments && (scene.rangeOf[after] < 0 || scene.rangeOf[after] === here)) after++;
    const begin = here >= 0 ? scene.range(here).first : scene.starts[segment], end = here >= 0 ? scene.range(here).last : scene.endOf(segment);
    const say = (r) => {
      const { first, last, row } = scene.range(r), gap = last < begin ? begin - last - 1n : first - end - 1n;
      return [this.link(nameText(data.name(row)), () => this.goTo(first, last)), " ", make("code", {}, span(first, last)), make("span", { class: "muted" }, gap > 0n ? `, ${sizeText(gap - 1n)} away` : ", adjacent")];
    };
    pairs.push(["Below", before < 0 ? "nothing" : make("span", {}, ...say(scene.rangeOf[before]))]);
    pairs.push(["Above", after >= scene.nSegments ? "nothing" : make("span", {}, ...say(scene.rangeOf[after]))]);
    return this.facts(pairs);
  },

  guessesOf(answer) {
    const { data } = this, ids = new Set();
    for (const { node } of answer.candidates) for (const { row } of chainOf(node)) ids.add(data.rows.id[row]);
    return data.guesses.filter(([, region]) => ids.has(region));
  },

  guessList(guesses) {
    const most = 200;
    const list = make("ul", { class: "guesses" }, ...guesses.slice(0, most).map(([line, region, flat, text]) =>
      make("li", {}, plainText(text), make("span", { class: "muted" }, ` ${flat ? "Settled by the flat dump" : "A rule"}${line ? `, line ${line}` : ""}. `),
        region >= 0 && this.scene.state.rowOf[region] >= 0 ? this.link("Show", () => this.pointRegion(region, true)) : null)));
    if (guesses.length > most) list.append(make("li", { class: "muted" }, `and ${plural(guesses.length - most, "more")}`));
    return list;
  },

  /* A region that was pointed at in the tree and is not seen, or before it is pinned. */
  showRegion(id, ways) {
    const { data, scene } = this, rows = data.rows, row = scene.state.rowOf[id], target = rows.target[row];
    const parent = rows.parent[row] >= 0 ? scene.state.rowOf[rows.parent[row]] : -1;
    const won = ways.filter((w) => this.wins(w) >= 0).length;
    byId("panel").replaceChildren(make("div", { class: "head" }, make("span", { class: "chip " + colorOf(data, row) }), make("h2", {}, nameText(data.name(row)))),
      make("p", { class: "sub" }, `${KIND_NAMES[rows.kind[row]]}, ${sizeText(rows.last[row])}`),
      this.facts([
        ["Placed", parent < 0 ? "in nothing" : make("span", {}, make("code", {}, "+" + hex(rows.offset[row])), " in ", this.regionLink(parent), `, priority ${rows.priority[row]}`)],
        ["Shows", rows.kind[row] !== KIND.ALIAS ? "" : target < 0 ? "nothing: it has no target" : make("span", {}, this.regionLink(scene.state.rowOf[target]), " ", make("code", {}, "+" + hex(rows.target_offset[row])))],
        ["Seen", !ways.length ? "nowhere in this space" : `in ${plural(ways.length, "place")}` + (LEAF(rows.kind[row]) ? won ? `, answers in ${won}` : ", answers in none" : "")],
        ["State", rows.flags[row] & FLAG.ENABLED ? "enabled" : "disabled"],
        ["Owner", ownerText(data.text(rows.owner[row]))],
        ["Source", rows.line[row] ? `line ${rows.line[row]}` : ""],
      ]),
      make("h3", {}, ways.length ? "Where" : ""), make("ul", {}, ...ways.slice(0, 30).map((w) => make("li", {}, this.link(span(scene.ways.first[w], scene.ways.last[w]), () => {
        this.reveal(w);
        this.pin({ address: scene.ways.first[w], segment: scene.from[w], way: w });
      })))));
  },

  showOverview() {
    const { data, scene } = this, sums = new Map();
    for (let r = 0; r < scene.nRanges; r++) {
      const { first, last, row } = scene.range(r), kind = data.rows.kind[row];
      sums.set(kind, (sums.get(kind) || 0n) + (last - first) + 1n);
    }
    const group = this.groups.find((names) => names.includes(this.spaceName)) || [];
    const out = [make("div", { class: "head" }, make("h2", {}, nameText(this.spaceName || "No space"))),
      make("p", { class: "sub" }, `${plural(scene.nRanges, "range")} from ${plural(scene.ways.n, "placement")}` + (group.length > 1 ? `, the same in ${plural(group.length - 1, "more space")}` : "")),
      make("p", {}, scene.nRanges ? "Point at the map to see who answers there and why; click to pin it. With the keyboard: Tab to the map, then the arrow keys." : "")];
    out.push(this.facts([...sums].sort().map(([kind, sum]) => [KIND_NAMES[kind], sizeText(sum - 1n)])));
    if (scene.ways.full) out.push(make("p", { class: "note" }, "There are more ways to see regions than can be shown: this is a part."));
    if (group.length > 1) out.push(make("h3", {}, "Spaces with this view"), make("ul", {}, ...group.slice(0, 100).map((name) => make("li", {}, nameText(name)))));
    if (data.guesses.length) out.push(make("details", { open: data.guesses.length <= 6 }, make("summary", {}, make("h3", {}, `Guessed: ${plural(data.guesses.length, "thing")} that the source leaves open`)), this.guessList(data.guesses)));
    byId("panel").replaceChildren(...out);
  },
});
