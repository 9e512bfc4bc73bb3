// What screens are made of: a list of which only the visible rows are in the document, dialogs,
// notices, and what can be done to a loop.

import { act, Refusal } from "./wire.js";
import { h } from "./text.js";

// Rows of one height in a box that scrolls. `draw(row)` makes one; `key(row)` names it.
export class Rows {
  constructor({ label, key, draw, tall = 28 }) {
    this.tall = tall;
    this.key = key;
    this.draw = draw;
    this.rows = [];
    this.shown = new Map();
    this.inner = h("ul.rows");
    this.box = h("div.scroll", { "aria-label": label, role: "region", tabindex: "0" }, this.inner);
    this.box.addEventListener("scroll", () => this.paint(), { passive: true });
    new ResizeObserver(() => this.paint()).observe(this.box);
  }

  // The rows anew. A list that is read at its end stays there.
  set(rows, { follow = false } = {}) {
    const end = this.atEnd();
    this.rows = rows;
    this.inner.style.height = `${rows.length * this.tall}px`;
    if (follow && end) this.box.scrollTop = this.box.scrollHeight;
    this.paint();
  }

  atEnd() {
    return this.box.scrollTop + this.box.clientHeight >= this.box.scrollHeight - 2 * this.tall;
  }

  paint() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / this.tall) - 5);
    const last = Math.min(this.rows.length, first + Math.ceil(this.box.clientHeight / this.tall) + 10);
    const wanted = new Set();
    // From the end on, so that they stand in the document in their order.
    let next = null;
    for (let at = last - 1; at >= first; at--) {
      const row = this.rows[at];
      const name = this.key(row, at);
      wanted.add(name);
      const was = this.shown.get(name);
      if (was && was.row === row && was.at === at) {
        next = was.it;
        continue;
      }
      const it = was?.row === row ? was.it : this.draw(row, at);
      it.style.transform = `translateY(${at * this.tall}px)`;
      it.setAttribute("aria-setsize", this.rows.length);
      it.setAttribute("aria-posinset", at + 1);
      if (was && was.it !== it) {
        const held = was.it.contains(document.activeElement);
        was.it.replaceWith(it);
        if (held) it.querySelector("a,button")?.focus({ preventScroll: true });
      } else if (!was) {
        this.inner.insertBefore(it, next);
      }
      next = it;
      this.shown.set(name, { it, row, at });
    }
    for (const [name, { it }] of this.shown) {
      if (wanted.has(name)) continue;
      it.remove();
      this.shown.delete(name);
    }
  }

  // Moves the focus to the link of a row.
  focus(at) {
    const top = at * this.tall;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    const bottom = top + this.tall - this.box.clientHeight;
    if (bottom > this.box.scrollTop) this.box.scrollTop = bottom;
    this.paint();
    this.shown.get(this.key(this.rows[at], at))?.it.querySelector("a")?.focus({ preventScroll: true });
  }

  // The next row with a link after the focused one, or before it.
  move(by) {
    const now = [...this.shown.values()].find(({ it }) => it.contains(document.activeElement));
    let at = now ? now.at + by : by > 0 ? 0 : this.rows.length - 1;
    while (this.rows[at] && !this.rows[at].href) at += by;
    if (this.rows[at]) this.focus(at);
  }
}

let hide;

// One line about what was done, or was not.
export function notice(text) {
  const it = document.getElementById("notice");
  it.replaceChildren(h("span", {}, text));
  it.hidden = false;
  clearTimeout(hide);
  hide = setTimeout(() => (it.hidden = true), 8000);
}

// Does it, and says how that went.
export async function perform(verb, id, more) {
  try {
    notice(await act(verb, id, more));
  } catch (error) {
    notice(error instanceof Refusal ? error.text : `this page has a defect: ${error.message}`);
  }
}

// Asks a yes, or words, and says them; nothing if the person goes away.
export function asked(question, { words = false, yes = "yes" } = {}) {
  const box = document.getElementById("dialog");
  const input = words ? h("textarea", { rows: 4, "aria-label": question }) : null;
  return new Promise((done) => {
    let said = null;
    const agree = (event) => {
      event?.preventDefault();
      said = input ? input.value.trim() : "yes";
      if (said) box.close();
    };
    box.replaceChildren(
      h("p", {}, question),
      input ?? "",
      h("div.acts", {},
        h("button.main", { type: "button", onclick: agree, autofocus: !input }, yes),
        h("button", { type: "button", onclick: () => box.close() }, "no, leave it")),
    );
    input?.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) agree(event);
    });
    box.onclose = () => done(said);
    box.showModal();
    input?.focus();
  });
}

// What can be done to a loop: word, key, what is asked before it.
const ACTS = [
  ["land", "a", "land", (it) => ({ question: `Land ${it.name}?  +${it.added} -${it.removed}` })],
  ["reject", "x", "send back", (it) => ({ question: `What is wrong with ${it.name}?`, words: true })],
  ["steer", "t", "tell", (it) => ({ question: `Tell ${it.name} what?`, words: true })],
  ["pause", "p", "pause", () => null],
  ["resume", "r", "resume", () => null],
  ["retry", "R", "retry", (it) => ({ question: `Try ${it.name} again, with fresh limits?` })],
  ["stop", "s", "stop", (it) => ({ question: `Stop ${it.name}?  Its work is kept.` })],
];

// Whether it would be refused anyway.
function applies(verb, it) {
  const over = it.group === "done";
  const ready = it.group === "needs_you" && it.status === "running";
  const again = ["blocked", "failed", "stopped"].includes(it.status);
  return {
    land: ready, reject: ready, steer: !over, pause: !over && it.status !== "paused",
    resume: ["paused", "blocked"].includes(it.status), retry: again, stop: !over,
  }[verb];
}

async function begin([verb, , word, question], it) {
  const wanted = question(it);
  if (!wanted) return perform(verb, it.name);
  const said = await asked(wanted.question, { words: wanted.words, yes: word });
  if (said) await perform(verb, it.name, wanted.words ? { text: said } : {});
}

export function acts(it) {
  const some = ACTS.filter(([verb]) => applies(verb, it));
  return h("div.acts", {}, some.map((one) =>
    h("button", { type: "button", title: `key ${one[1]}`, "data-act": one[0], onclick: () => begin(one, it) }, one[2])));
}

// The act a key stands for.
export function actOn(key, it) {
  const one = ACTS.find((one) => one[1] === key && applies(one[0], it));
  if (one) begin(one, it);
  return Boolean(one);
}

// An item of the inbox with all its answers.
export function card(it) {
  const say = (verb, word, id = it.id) => async () => {
    const said = await asked(`${it.id}: ${it.what}`, { words: true, yes: word });
    if (said) await perform(verb, id, { text: said });
  };
  const button = (word, onclick, main) =>
    h(main ? "button.main" : "button", { type: "button", onclick }, word);
  const buttons = {
    landing: () => [
      button("land", () => perform("land", it.id), true),
      button("send back", say("reject", "send back")),
      h("a", { href: `#/loop/${it.loop}/diff` }, "look at the diff")],
    plan: () => [
      button("approve", () => perform("land", it.id), true),
      button("send back", say("reject", "send back"))],
    held: () => [button("sync", () => perform("sync", it.loop), true)],
    budget: () => [button("set a budget", () => setBudget(it), true)],
    conflict: () => again(it, button),
    blocked: () => again(it, button),
  }[it.kind] ?? (() => [
    ...it.choices.map((choice, n) =>
      button(`${n + 1} ${choice}`, () => perform("answer", it.id, { text: String(n + 1) }), n === 0)),
    it.free || !it.choices.length ? button("answer in words", say("answer", "answer")) : null]);
  return h("li.card", { "data-item": it.id },
    h("h3", {}, `${it.kind}: `, h("a", { href: `#/loop/${it.loop}` }, it.loop), h("span.dim", {}, `  ${it.id}`)),
    h("p.what", {}, it.what),
    it.default ? h("p.dim", {}, `default: ${it.default}${it.deadline ? `, at ${new Date(it.deadline).toLocaleTimeString()}` : ""}`) : "",
    h("div.acts", {}, buttons()),
    h("p.dim", {}, h("code", {}, it.answers ?? "")));
}

function again(it, button) {
  return [
    button("resume", () => perform("resume", it.loop), true),
    button("retry", () => perform("retry", it.loop)),
    button("stop", async () => (await asked(`Stop ${it.loop}?  Its work is kept.`, { yes: "stop" })) && perform("stop", it.loop))];
}

async function setBudget(it) {
  const of = /budget set (\S+)/.exec(it.answers ?? "")?.[1] ?? it.loop;
  const said = await asked(`${it.what}: how many dollars may ${of} spend in all?`, { words: true, yes: "set" });
  const dollars = Number((said ?? "").replace("$", ""));
  if (!said) return;
  if (!(dollars > 0)) return notice(`${said} is no amount of dollars; nothing is changed`);
  await perform("budget", of, { micros: Math.round(dollars * 1e6) });
  await perform("resume", it.loop);
}
