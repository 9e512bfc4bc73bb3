// Words, times and money, and the one way anything gets into the document: as text, never as markup.

// An element: `h("a.name", {href, onclick}, "text", child)`.
export function h(what, props = {}, ...children) {
  const [tag, ...classes] = what.split(".");
  const it = document.createElement(tag);
  if (classes.length) it.className = classes.join(" ");
  return set(it, props, children);
}

// The same inside a picture.
export function svg(what, props = {}, ...children) {
  const [tag, ...classes] = what.split(".");
  const it = document.createElementNS("http://www.w3.org/2000/svg", tag);
  if (classes.length) it.setAttribute("class", classes.join(" "));
  return set(it, props, children);
}

function set(it, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) it.addEventListener(name.slice(2), value);
    else if (value === true) it.setAttribute(name, "");
    else if (value !== undefined && value !== null && value !== false) it.setAttribute(name, value);
  }
  for (const child of children.flat()) {
    if (child === undefined || child === null || child === false) continue;
    it.append(child instanceof Node ? child : clean(String(child)));
  }
  return it;
}

const OBEYED = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

// What would be obeyed, or turns text around, is spelled out.
export function clean(text) {
  return text.replace(OBEYED, (it) => `\\u{${it.codePointAt(0).toString(16)}}`);
}

export function ms(time) {
  return typeof time === "number" ? time : Date.parse(time);
}

// How long ago, in one word.
export function age(time) {
  if (!time) return "";
  return duration(Math.max(0, Date.now() - ms(time)));
}

export function duration(span) {
  const s = Math.floor(span / 1000);
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m`;
  if (s < 86400) return `${Math.floor(s / 3600)}h ${Math.floor((s % 3600) / 60)}m`;
  return `${Math.floor(s / 86400)}d`;
}

export function clock(time) {
  return time ? new Date(ms(time)).toLocaleTimeString([], { hour12: false }) : "";
}

export function money(micros, uncounted) {
  if (!micros && uncounted) return "?";
  return `$${(micros / 1e6).toFixed(2)}${uncounted ? "+?" : ""}`;
}

export function count(n, what) {
  return `${n} ${what}${n === 1 ? "" : "s"}`;
}

export function tokens(n) {
  if (n < 1000) return String(n);
  return n < 1e6 ? `${Math.floor(n / 1000)}k` : `${(n / 1e6).toFixed(1)}M`;
}
