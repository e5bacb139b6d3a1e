/* The slider over a machine's steps: what each changed in the space that is shown, and the slot calls that it made. */

/* Ways of all states together, at most, for which an axis is made that holds them all. */
const TOGETHER_MAX = 1500000;

/* One axis for all steps, so that the map stays in place while time goes by; null where they are too many. */
function commonAxis(data, spaceName) {
  let starts = new BigUint64Array([data.first]), budget = TOGETHER_MAX;
  const kept = [];
  for (let n = 1; n <= data.steps.length; n++) {
    const step = data.steps[n - 1];
    if (n > 1 && !step.rows && !step.gone.length && !step.spaces) continue;
    const state = data.state(n), ways = new Ways(state, state.space(spaceName), data.first, data.last);
    budget -= ways.n + starts.length;
    if (budget < 0) return null;
    starts = merged(starts, boundariesOf(ways));
    kept.push(ways);
  }
  const leaf = new Int32Array(starts.length + 1);
  const axis = new Axis(starts, data.last, null);
  for (const ways of kept)
    for (let w = 0; w < ways.n; w++)
      if (ways.leaf(w)) {
        leaf[axis.find(ways.first[w])]++;
        leaf[ways.last[w] >= data.last ? starts.length : axis.find(ways.last[w] + 1n)]--;
      }
  const empty = new Uint8Array(starts.length);
  for (let s = 0, sum = 0; s < starts.length; s++) {
    sum += leaf[s];
    empty[s] = sum === 0 ? 1 : 0;
  }
  return new Axis(starts, data.last, empty);
}

/* What differs between two scenes, as pieces in address order: { first, last, what, was, now }. */
function changesOf(before, after) {
  const starts = before.axis === after.axis ? after.starts : merged(before.starts, after.starts);
  const at = (scene, i) => {
    const s = scene.starts === starts ? i : scene.segmentAt(starts[i]), w = scene.nSegments ? scene.winner[s] : -1;
    return w < 0 ? null : { w, row: scene.ways.row[w], id: scene.data.rows.id[scene.ways.row[w]], attrs: scene.ways.attrs[w],
                            base: BigInt.asUintN(64, scene.ways.offset[w] - scene.ways.first[w]) };
  };
  const same = (a, b) => a === b || (a && b && a.id === b.id && a.attrs === b.attrs && a.base === b.base);
  const pieces = [];
  let last = null;
  for (let i = 0; i < starts.length; i++) {
    const was = at(before, i), now = at(after, i);
    if (same(was, now)) {
      last = null;
      continue;
    }
    const end = i + 1 < starts.length ? starts[i + 1] - 1n : after.data.last;
    if (last && same(last.a, was) && same(last.b, now)) {
      last.last = end;
      continue;
    }
    last = { first: starts[i], last: end, a: was, b: now, what: !was ? "new" : !now ? "gone" : "changed" };
    pieces.push(last);
  }
  for (const piece of pieces) {
    piece.from = after.segmentAt(piece.first);
    piece.to = after.segmentAt(piece.last) + 1;
    piece.was = piece.a ? nameText(before.data.name(piece.a.row)) : "nothing";
    piece.now = piece.b ? nameText(after.data.name(piece.b.row)) : "nothing";
    piece.text = changeText(piece);
    piece.color = piece.a ? colorOf(before.data, piece.a.row) : null;
  }
  return pieces;
}

function changeText({ a, b, was, now }) {
  if (!a || !b) return a ? was : now;
  if (a.id !== b.id) return `${was} → ${now}`;
  const words = [];
  if (a.base !== b.base) words.push("at another offset");
  if ((a.attrs ^ b.attrs) & FLAG.READONLY) words.push(b.attrs & FLAG.READONLY ? "now readonly" : "now writable");
  if ((a.attrs ^ b.attrs) & FLAG.ROMD) words.push(b.attrs & FLAG.ROMD ? "now reads directly" : "now reads through callbacks");
  if ((a.attrs ^ b.attrs) & FLAG.NONVOLATILE) words.push(b.attrs & FLAG.NONVOLATILE ? "now nonvolatile" : "now volatile");
  return `${now}, ${words.join(", ")}`;
}

/* A slot call in words; it removes if its size is 0. */
function slotState(data) {
  if (data.slotSums) return data.slotSums;
  const slots = new Map(), sums = [];
  let calls = 0, removals = 0, removed = 0n;
  for (const step of data.steps) {
    const list = [];
    for (const [line, as, slot, flags, gpa, size, ua, result] of step.calls || []) {
      const key = as * 65536 + slot, bytes = BigInt("0x" + size), known = slots.get(key) || 0n;
      calls++;
      const gone = bytes === 0n && result >= 0 ? known : 0n;
      if (bytes === 0n) removals++;
      removed += gone;
      if (result >= 0) slots.set(key, bytes);
      list.push({ line, as, slot, flags, gpa: BigInt("0x" + gpa), bytes, ua: BigInt("0x" + ua), result, gone });
    }
    sums.push({ list, calls, removals, removed });
  }
  data.slotSums = sums;
  return sums;
}

class Timeline {
  constructor(app) {
    this.app = app;
    this.slider = byId("step");
    this.slider.max = app.data.steps.length;
    this.slider.addEventListener("input", () => app.toStep(Number(this.slider.value)));
    byId("play").addEventListener("click", () => this.play());
    byId("step-back").addEventListener("click", () => app.toStep(app.n - 1));
    byId("step-on").addEventListener("click", () => app.toStep(app.n + 1));
    byId("timeline").hidden = false;
    this.drawTicks();
  }

  /* Above the slider: how many slot calls each step made. */
  drawTicks() {
    const sums = slotState(this.app.data), box = byId("ticks"), n = sums.length;
    const most = Math.max(1, ...sums.slice(1).map((sum) => sum.list.length)), columns = Math.min(n, 300), bars = [];
    for (let i = 0; i < columns; i++) {
      let calls = 0;
      for (let k = Math.floor((i * n) / columns); k < Math.floor(((i + 1) * n) / columns); k++) calls = Math.max(calls, sums[k].list.length);
      bars.push(make("i", { style: `height:${calls ? Math.max(12, Math.min(100, Math.round((100 * calls) / most))) : 0}%` }));
    }
    box.replaceChildren(...bars);
  }

  play() {
    const { app } = this;
    if (this.timer) return this.stop();
    if (app.n >= app.data.steps.length) app.toStep(1);
    byId("play").textContent = "❚❚";
    byId("play").setAttribute("aria-label", "Pause");
    this.timer = setInterval(() => {
      if (app.n >= app.data.steps.length) this.stop();
      else app.toStep(app.n + 1);
    }, 700);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = 0;
    byId("play").textContent = "▶";
    byId("play").setAttribute("aria-label", "Play");
  }

  show(pieces) {
    const { app, slider } = this, { data, n } = app, step = data.steps[n - 1], count = data.steps.length;
    slider.value = n;
    slider.setAttribute("aria-valuetext", `step ${n} of ${count}: ${causeText(step)}`);
    byId("step-number").textContent = `${n} / ${count}`;
    const facts = [];
    if (step.time) facts.push(`${(Number(BigInt("0x" + step.time)) / 1e6).toFixed(3)} ms`);
    if (step.instructions) facts.push(`${BigInt("0x" + step.instructions).toLocaleString("en")} instructions`);
    if (step.line) facts.push(`line ${step.line}`);
    byId("cause").textContent = causeText(step);
    byId("cause-facts").textContent = facts.join(" · ");
    byId("step-back").disabled = n <= 1;
    byId("step-on").disabled = n >= count;
    this.showChanges(pieces);
    this.showCalls(slotState(data)[n - 1]);
  }

  showChanges(pieces) {
    const { app } = this, list = byId("changes"), most = 300;
    byId("changes-count").textContent = app.n === 1 ? "the first step: nothing before it" : pieces.length ? plural(pieces.length, "range") : "nothing in this space";
    const words = { gone: "−", new: "+", changed: "~" };
    list.replaceChildren(...pieces.slice(0, most).map((piece) =>
      make("li", { class: piece.what }, make("button", { type: "button", onclick: () => app.goTo(piece.first, piece.last) },
        make("b", { "aria-label": piece.what }, words[piece.what]), " ", make("code", {}, span(piece.first, piece.last)), " ",
        make("span", {}, piece.text)))));
    if (pieces.length > most) list.append(make("li", { class: "more" }, `and ${plural(pieces.length - most, "more range")}`));
  }

  showCalls(sums) {
    byId("calls-count").textContent = sums.list.length ? plural(sums.list.length, "call") : "none";
    byId("calls").replaceChildren(...sums.list.map((call) =>
      make("tr", { class: call.bytes === 0n ? "gone" : "new" }, make("td", {}, call.bytes === 0n ? "− remove" : "+ set"),
        make("td", {}, `${call.as ? call.as + ":" : ""}${call.slot}`), make("td", {}, hex(call.gpa)),
        make("td", {}, call.bytes === 0n ? (call.gone ? sizeText(call.gone - 1n) : "unknown") : sizeText(call.bytes - 1n)),
        make("td", {}, (call.flags ? [call.flags & 1 ? "log" : "", call.flags & 2 ? "readonly" : "", call.flags & 4 ? "guest_memfd" : ""].filter((word) => word).join(" ") : "") + (call.result < 0 ? ` failed: ${call.result}` : "")))));
    byId("calls-table").hidden = !sums.list.length;
    byId("calls-total").textContent = `So far: ${plural(sums.calls, "call")}, ${plural(sums.removals, "removal")}, ${sums.removed ? sizeText(sums.removed - 1n) : "0 bytes"} removed`;
  }
}
