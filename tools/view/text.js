/* Addresses, sizes and attributes as people read them; and elements. */

function hex(address) {
  return "0x" + address.toString(16);
}

function span(first, last) {
  return first === last ? hex(first) : hex(first) + "–" + hex(last);
}

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/* last - first of a size: 2^64 bytes have one that fits. */
function sizeText(bytesLess1) {
  const bytes = bytesLess1 + 1n;
  let n = bytes, unit = 0;
  if (n === TOP + 1n) return "2^64 bytes";
  while (unit < 6 && n >= 1024n && n % 1024n === 0n) {
    n /= 1024n;
    unit++;
  }
  if (n < 10000n) return n + " " + (unit ? UNITS[unit] : n === 1n ? "byte" : "bytes");
  let about = Number(bytes);
  for (unit = 0; about >= 1024 && unit < 6; unit++) about /= 1024;
  return "≈ " + about.toFixed(1) + " " + UNITS[unit];
}

function plural(n, one, many) {
  return n.toLocaleString("en") + " " + (n === 1 ? one : many || one + "s");
}

/* What controls, or turns the direction of what is around it, is shown as U+FFFD, as in an SVG. */
function plainText(text) {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g, "\ufffd");
}

function nameText(name) {
  return name === "" ? "(unnamed)" : plainText(name);
}

function causeText(step) {
  return step.cause ? plainText(step.cause) : "nothing says what caused it";
}

/* QEMU's owner:{...} and parent:{...} without the wrapping. */
function ownerText(owner) {
  return plainText(owner).replace(/^(owner|parent):\{(.*)\}$/, "$2");
}

function attrsText(scene, row, attrs) {
  const words = [];
  if (attrs & FLAG.READONLY) words.push("readonly");
  if (attrs & FLAG.NONVOLATILE) words.push("nonvolatile");
  if (scene.data.rows.kind[row] === KIND.ROMD) words.push(attrs & FLAG.ROMD ? "reads directly" : "reads through callbacks");
  return words.join(", ");
}

/* An element with attributes and children; text is always text, never markup. */
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat()) if (child !== null && child !== undefined) element.append(child);
  return element;
}

function byId(id) {
  return document.getElementById(id);
}
