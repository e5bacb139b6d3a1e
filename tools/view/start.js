/* Begin. Times are left in the document for whoever measures. */

const began = performance.now();
const app = new App(new Data(byId("data").textContent));
byId("data").remove();
const { first, last } = app.data;
if (first > 0n || last < TOP) app.map.fit();
requestAnimationFrame(() => {
  app.map.paint();
  document.documentElement.dataset.ready = Math.round(performance.now() - began);
  document.documentElement.dataset.opened = Math.round(performance.now());
});

/* For tests and consoles: where an address is on the map, in pixels from its left; what the page says of it. */
window.gmemView = {
  app,
  x: (address) => app.map.picture.px(app.scene.axis.position(BigInt(address))),
  y: (what) => ({ strip: app.map.picture.stripTop + SIZE.strip / 2, block: app.map.picture.blockTop + 4 })[what],
  row: (level) => app.map.picture.rowTop(level) + SIZE.row / 2,
  explain: (address) => explain(app.scene, BigInt(address)),
  why: (candidate) => whyText(app.scene, candidate),
};
