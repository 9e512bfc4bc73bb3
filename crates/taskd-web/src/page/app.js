// The page: which screen is open, what is known, and the keys. What is known is what the daemon said;
// nothing is decided here.

import { enter, follow, Refusal } from "./wire.js";
import { age, h } from "./text.js";
import { home, inbox } from "./home.js";
import { one } from "./loop.js";
import { plan } from "./plan.js";
import { costs, queue } from "./costs.js";

const SCREENS = { "": home, inbox, queue, costs, loop: one, plan };

const KEYS = [
  ["1 2 3 4", "loops, inbox, queue, costs"],
  ["j k", "down, up; the arrows do the same"],
  ["Enter", "open"],
  ["Esc", "back to the loops"],
  ["/", "only what holds these words"],
  ["h l", "in a loop: the tab before, the next one"],
  ["a x t", "in a loop: land, send back, tell"],
  ["p r s R", "in a loop: pause, resume, stop, retry"],
  ["1 2 3 …", "in the inbox, on an item: that answer"],
];

// Everything the daemon said, by kind and name.
const store = { loop: new Map(), plan: new Map(), item: new Map(), head: {}, lost: null };
let screen = null;
let about = null;
let following = new AbortController();
let fresh = false;
let drawn = false;

function take({ set, gone }) {
  if (fresh) {
    for (const kind of ["loop", "plan", "item"]) store[kind].clear();
    fresh = false;
  }
  for (const [key, value] of Object.entries(set)) {
    const at = key.indexOf("/");
    if (at < 0) store[key] = value;
    else store[key.slice(0, at)].set(key.slice(at + 1), value);
  }
  for (const key of gone) {
    const at = key.indexOf("/");
    store[key.slice(0, at)].delete(key.slice(at + 1));
  }
}

function banner(text) {
  const it = document.getElementById("banner");
  it.textContent = text;
  it.hidden = !text;
}

function draw() {
  drawn = false;
  const { head, lost } = store;
  banner(lost ? `the daemon does not answer (try ${lost.attempt}): ${lost.why}. What was known stays.`
    : head.parked ? "parked: nothing new starts until  taskd resume --all"
      : head.disk?.shortage ?? "");
  document.getElementById("waiting").textContent = store.item.size || "";
  document.getElementById("seq").textContent = head.seq ? `taskd ${head.version}  event ${head.seq}` : "";
  document.title = store.item.size ? `(${store.item.size}) taskd` : "taskd";
  if (head.seq === undefined) return;
  screen?.update?.();
  // For whoever measures: from now on it can be used.
  document.documentElement.dataset.ready = "yes";
}

function heard(kind, data) {
  if (kind === "open") fresh = true;
  else if (kind === "cut") banner(`${data.why}; trying again. What was known stays.`);
  else if (kind === "picture") take(data);
  else screen?.said?.(kind, data);
  if (drawn) return;
  drawn = true;
  requestAnimationFrame(draw);
}

async function route() {
  const [name, id = "", tab = ""] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  const make = SCREENS[name] ?? home;
  if (screen?.same?.(make, id)) {
    screen.tab(tab);
    return;
  }
  screen?.close?.();
  screen = make({ store, id, tab });
  screen.same = screen.tab && ((other, otherId) => other === make && otherId === id);
  document.getElementById("main").replaceChildren(screen.el);
  for (const it of document.querySelectorAll("nav a")) {
    const here = it.dataset.screen === (name || "home");
    if (here) it.setAttribute("aria-current", "page");
    else it.removeAttribute("aria-current");
  }
  if (store.head.seq !== undefined) screen.update?.();
  screen.opened?.();
  listen(id);
}

// One stream, about what is open.
async function listen(id) {
  if (about === id) return;
  about = id;
  following.abort();
  following = new AbortController();
  try {
    await follow(id, heard, following.signal);
  } catch (error) {
    closed(error);
  }
}

function closed(error) {
  const text = error instanceof Refusal ? error.message : `this page has a defect: ${error.message}`;
  document.getElementById("main").replaceChildren(
    h("section.closed", {}, h("h1", {}, "This page is closed"), h("p", {}, `${text}.`),
      h("p", {}, "Type ", h("code", {}, "taskd web"), " and open the address it prints.")));
  document.documentElement.dataset.ready = "closed";
}

async function help() {
  const rows = KEYS.map(([keys, what]) => h("div", {}, h("kbd", {}, keys), h("span", {}, ` ${what}`)));
  const box = document.getElementById("dialog");
  box.replaceChildren(h("h2", {}, "keys"), h("div.keys", {}, rows),
    h("div.acts", {}, h("button.main", { type: "button", autofocus: true, onclick: () => box.close() }, "close")));
  box.onclose = null;
  box.showModal();
}

const PLACES = { 1: "#/", 2: "#/inbox", 3: "#/queue", 4: "#/costs" };

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select, dialog");
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (typing) {
    if (event.key === "Escape" && event.target.matches("input")) event.target.blur();
    return;
  }
  const done = screen?.pressed?.(event.key) || pressed(event.key);
  if (done) event.preventDefault();
});

function pressed(key) {
  if (key === "?") help();
  else if (PLACES[key]) location.hash = PLACES[key];
  else if (key === "Escape") location.hash = "#/";
  else return false;
  return true;
}

document.getElementById("help").addEventListener("click", help);
addEventListener("hashchange", async () => {
  // The address of another `taskd web` on the same port.
  await enter().catch(closed);
  route();
});
matchMedia("(max-width: 640px)").addEventListener("change", () => {
  screen?.close?.();
  screen = null;
  route();
});
setInterval(() => {
  for (const it of document.querySelectorAll("[data-since]")) it.textContent = age(it.dataset.since);
}, 1000);

enter().then(route, closed);
