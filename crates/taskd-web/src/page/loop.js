// One loop: where it is, what it does as it does it, its outputs, its work, its events, its task.

import { ask, Refusal, whole } from "./wire.js";
import { actOn, acts, card, notice, Rows } from "./show.js";
import { age, clock, count, duration, h, money } from "./text.js";

const TABS = ["live", "tools", "gate", "diff", "events", "task", "why"];

// Lines kept of a log; the whole of it can be had as a file.
const LINES = 50_000;

const TALL = 20;

export function one({ store, id, tab }) {
  let open = TABS.includes(tab) ? tab : "live";
  let shown = "";
  let n = 0;
  let lines = [];
  // What streamed by while the log was asked for.
  let early = null;
  let last = 0;
  let part = null;
  let asks = 0;
  // Events that were read, and whether there are more.
  let next = 1;
  let unread = false;
  let reading = false;

  const head = h("div.head", {});
  const items = h("ul.cards", {});
  const tabs = h("div.tabs", { role: "tablist", "aria-label": "of this loop" }, TABS.map((name) =>
    h("a", { href: `#/loop/${id}/${name}`, role: "tab", "data-tab": name }, name)));
  const list = new Rows({ label: "lines", tall: TALL, key: (row) => row.n, draw: lineRow });
  const more = h("div.bar", {});
  const body = h("div.fill", { role: "tabpanel" });

  function line(text, kind = "") {
    return { n: ++n, text, kind };
  }

  function put(rows) {
    lines = rows.length > LINES ? rows.slice(-LINES) : rows;
    list.set(lines);
    list.box.scrollTop = list.box.scrollHeight;
    list.paint();
  }

  // What is said goes on below, where the last line of the same effect was not over.
  function noise({ effect, text, line: isLine, cut }) {
    const rows = [];
    if (cut) text += `… (${cut} bytes more)`;
    if (isLine) part = null;
    text.split("\n").forEach((piece, at) => {
      if (at > 0) part = null;
      if (!piece) return;
      if (part?.effect === effect && !isLine) {
        part.row.text += piece;
        // Another object, so that it is drawn again.
        const again = { ...part.row };
        const index = lines.lastIndexOf(part.row);
        if (index >= 0) lines[index] = again;
        part.row = again;
        return;
      }
      const row = line(piece, "noise");
      if (!isLine) part = { effect, row };
      rows.push(row);
      lines.push(row);
    });
    if (lines.length > LINES) lines = lines.slice(-LINES);
    list.set(lines, { follow: true });
  }

  function told(it) {
    if (it.seq <= last) return;
    last = it.seq;
    part = null;
    const until = it.until ? `for ${duration(it.until - it.at)}` : it.detail;
    const who = it.name === id || !it.name ? "" : `${it.name}: `;
    lines.push(line(`${clock(it.at)}  ${it.within ? "  " : ""}${who}${it.text}  ${until ?? ""}`, "told"));
    list.set(lines, { follow: true });
  }

  function said(kind, data) {
    if (open === "events" && kind !== "noise") refresh("events");
    if (open !== "live") return;
    if (kind === "gap") refresh("live");
    else if (early) early.push([kind, data]);
    else if (kind === "noise") noise(data);
    else if (kind === "told") told(data);
  }

  async function live() {
    early = [];
    part = null;
    const { texts, tail } = await ask({ what: "log", id, kind: "agent" });
    const rows = texts.flatMap((it) => [line(`── ${it.heading}`, "heading"), ...it.lines.map((text) => line(text))]);
    if (tail.length) rows.push(line("── now", "heading"), ...tail.map((text) => line(text, "noise")));
    put(rows);
    // What is in the tail already does not stand there twice.
    let seen = tail.length;
    const waiting = early;
    early = null;
    const said = waiting.filter(([kind]) => kind === "noise").map(([, it]) => it.text.replace(/\n$/, ""));
    while (seen > 0 && !tail.slice(-seen).every((text, at) => text === said[at])) seen--;
    for (const [kind, data] of waiting) {
      if (kind === "told") told(data);
      else if (seen > 0) seen--;
      else noise(data);
    }
  }

  async function log(kind) {
    const { texts } = await ask({ what: "log", id, kind });
    put(texts.flatMap((it) => [line(`── ${it.heading}`, "heading"), ...it.lines.map((text) =>
      line(text, /\b(FAILED|not ok|error)\b/.test(text) ? "red" : ""))]));
  }

  async function diff() {
    const it = await ask({ what: "diff", id });
    const kinds = { "+": "green", "-": "red", "@": "heading" };
    const rows = it.text.split("\n").map((text) => line(text, /^(\+\+\+|---|diff )/.test(text) ? "heading" : kinds[text[0]] ?? ""));
    rows.unshift(line(`${count(it.files, "file")}, +${it.added} -${it.removed}`, "heading"));
    if (it.truncated) rows.push(line(`… the patch is longer than the daemon sends:  taskd diff ${id}`, "red"));
    put(rows);
    list.box.scrollTop = 0;
  }

  // The log is read on from where it was left.
  async function events() {
    unread = true;
    if (reading) return;
    reading = true;
    try {
      while (unread) {
        unread = false;
        const answer = await ask({ what: "events", id, from: next });
        const rows = answer.events.map((it) => line(`${String(it.seq).padStart(6)}  ${clock(it.at)}  ${it.text}`));
        next = answer.events.length ? answer.events.at(-1).seq + 1 : next;
        unread ||= answer.more;
        if (open !== "events") return;
        lines.push(...rows);
        lines = lines.slice(-LINES);
        list.set(lines, { follow: true });
      }
    } finally {
      reading = false;
    }
  }

  async function task() {
    const it = await ask({ what: "show", id });
    const pair = (name, value) => (value?.length ? [h("dt", {}, name), h("dd", {}, value)] : []);
    const rows = it.loops[0]?.iterations ?? [];
    return h("div.scroll.text", {},
      h("pre", {}, it.text),
      h("dl", {}, pair("gate", it.gate.join(" && ")), pair("from", it.gate_origin), pair("accept", it.accept.join(" && ")),
        pair("worker", it.worker), pair("worktree", it.worktree), pair("ref", it.ref), pair("touches", it.touches.join(" ")),
        it.notes.flatMap((text) => pair("told", text)), it.warnings.flatMap((text) => pair("watch", text))),
      rows.length ? h("table", {}, h("caption", {}, "iterations"), rows.map((row) => h("tr", {},
        h("td", {}, row.n), h("td", {}, `+${row.added} -${row.removed}`),
        h("td", { class: row.verdict === "green" ? "green" : row.verdict ? "red" : "" }, row.verdict ?? "runs"),
        h("td", {}, row.summary), h("td", {}, duration(row.ms)), h("td", {}, money(row.cost_micros))))) : "");
  }

  async function why() {
    const it = await ask({ what: "why", id });
    return h("div.scroll.text", {},
      h("ul", {}, it.chain.map((row) => h("li", {}, h("b", {}, row.subject), ` ${row.sentence}`,
        row.evidence ? h("p.dim", {}, row.evidence) : "", row.details.map((text) => h("p.dim", {}, text))))),
      it.not_the_cause.length ? h("p.dim", {}, `not the cause: ${it.not_the_cause.join(", ")}`) : "",
      h("p", {}, it.next));
  }

  const MAKE = { live, tools: () => log("tools"), gate: () => log("gate"), diff, events, task, why };

  async function refresh(name) {
    if (name !== open) return;
    const mine = ++asks;
    try {
      const el = await MAKE[name]();
      if (mine === asks && el) body.replaceChildren(el);
    } catch (error) {
      early = null;
      const text = error instanceof Refusal ? error.text : `this page has a defect: ${error.message}`;
      if (mine === asks) body.replaceChildren(h("p.red", {}, text));
    }
  }

  function show(name) {
    open = TABS.includes(name) ? name : "live";
    for (const it of tabs.children) it.setAttribute("aria-selected", String(it.dataset.tab === open));
    const file = { live: "agent", tools: "tools", gate: "gate" }[open];
    more.replaceChildren(file ? h("button", { type: "button", onclick: () => save(file) }, "the whole log, as a file") : "");
    lines = [];
    last = 0;
    next = 1;
    list.set([]);
    body.replaceChildren(...(["task", "why"].includes(open) ? [] : [list.box]));
    refresh(open);
  }

  async function save(kind) {
    try {
      const href = URL.createObjectURL(await whole(id, kind));
      h("a", { href, download: `${id}-${kind}.log` }).click();
      setTimeout(() => URL.revokeObjectURL(href), 60_000);
    } catch (error) {
      notice(error.text ?? error.message);
    }
  }

  function update() {
    const it = store.loop.get(id);
    const waiting = [...store.item.values()].filter((item) => item.loop === id);
    const text = JSON.stringify([it, waiting]);
    if (text === shown) return;
    shown = text;
    if (!it) {
      head.replaceChildren(h("h1", {}, id), h("p", {}, `there is no loop ${id};  taskd ls -a`));
      return;
    }
    const held = document.activeElement?.dataset?.act;
    head.replaceChildren(
      h("h1", {}, h("span", {}, it.name), " ", h("span.title", {}, it.title)),
      h(`p.state.${it.group}`, {}, it.state),
      h("p.dim", {}, `${it.status}, iteration ${it.iteration}/${it.iterations_max}, ${it.worker}, ${money(it.cost_micros, it.uncounted)}, `,
        it.behind ? `base ${it.behind} behind, ` : "", "last sign ", h("span", { "data-since": it.last_sign }, age(it.last_sign)), " ago",
        it.waits_for.length ? `, waits for ${it.waits_for.join(", ")}` : "", it.landed ? `, landed as ${it.landed.slice(0, 7)}` : "",
        "  ", h("a", { href: `#/plan/${it.plan}` }, `plan ${it.plan}`)),
      acts(it));
    if (held) head.querySelector(`[data-act=${held}]`)?.focus();
    items.replaceChildren(...waiting.map(card));
  }

  return {
    el: h("section.fill", {}, head, items, h("div.bar", {}, tabs, more), body),
    update,
    said,
    tab: show,
    opened: () => show(open),
    pressed(key) {
      const it = store.loop.get(id);
      if (it && actOn(key, it)) return true;
      const by = { h: -1, l: 1, ArrowLeft: -1, ArrowRight: 1 }[key];
      if (by) location.hash = `#/loop/${id}/${TABS[(TABS.indexOf(open) + by + TABS.length) % TABS.length]}`;
      else if (key === "j" || key === "ArrowDown") list.box.scrollTop += 3 * TALL;
      else if (key === "k" || key === "ArrowUp") list.box.scrollTop -= 3 * TALL;
      else if (key === "G") list.box.scrollTop = list.box.scrollHeight;
      else if (key === "g") list.box.scrollTop = 0;
      else return false;
      return true;
    },
  };
}

function lineRow(row) {
  return h(`li.line${row.kind ? `.${row.kind}` : ""}`, {}, h("span", {}, row.text));
}
