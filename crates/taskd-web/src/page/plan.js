// One plan: what needs what, and when what was worked on.

import { ask, Refusal } from "./wire.js";
import { acts } from "./show.js";
import { clock, h, money, ms, svg } from "./text.js";

const WIDE = 150;
const HIGH = 40;
const GAP = 40;

export function plan({ store, id }) {
  const head = h("div.head", {});
  const graph = h("div.scroll.picture", { tabindex: "0", role: "region", "aria-label": "what needs what" });
  const time = h("div.scroll.picture", { tabindex: "0", role: "region", "aria-label": "when what was worked on" });
  let shown = "";
  let asking = false;
  let again = false;

  function loops() {
    return [...store.loop.values()].filter((it) => it.plan === id).sort((a, b) => a.place - b.place);
  }

  function update() {
    const it = store.plan.get(id);
    const all = loops();
    const text = JSON.stringify([it, all.map((one) => [one.name, one.group, one.state, one.iteration])]);
    if (text === shown) return;
    shown = text;
    if (!it) {
      head.replaceChildren(h("h1", {}, id), h("p", {}, `there is no plan ${id};  taskd plan ls`));
      return;
    }
    head.replaceChildren(
      h("h1", {}, h("span", {}, id), " ", h("span.title", {}, it.title)),
      h("p.dim", {}, `${it.landed} of ${it.specs} landed on ${it.target}, ${it.state}, ${money(it.cost_micros, it.uncounted)} of ${money(it.budget_micros)}`),
      acts(whole(it, all)));
    graph.replaceChildren(drawGraph(all));
    timeline();
  }

  // As one looks at a loop: what can be done to any of its loops can be done to all.
  function whole(it, all) {
    const open = all.filter((one) => one.group !== "done");
    const paused = open.length && open.every((one) => one.status === "paused");
    return {
      name: id, added: "…", removed: "…",
      group: !open.length ? "done" : open.some((one) => one.group === "needs_you" && one.status === "running") ? "needs_you" : "working",
      status: paused ? "paused" : open.some((one) => one.status === "blocked") ? "blocked" : "running",
    };
  }

  async function timeline() {
    again = asking;
    if (asking) return;
    asking = true;
    try {
      const { loops: rows } = await ask({ what: "show", id });
      time.replaceChildren(drawTime(rows));
    } catch (error) {
      time.replaceChildren(h("p.red", {}, error instanceof Refusal ? error.text : error.message));
    }
    asking = false;
    if (again) timeline();
  }

  return { el: h("section", {}, head, h("h2", {}, "needs"), graph, h("h2", {}, "time"), time), update };
}

// Each loop stands right of all it needs.
function drawGraph(loops) {
  const by = new Map(loops.map((it) => [it.name, it]));
  const depth = new Map();
  const deep = (it) => {
    if (depth.has(it.name)) return depth.get(it.name);
    // Needs have no circles; were there one, it would end here.
    depth.set(it.name, 0);
    const needs = it.needs.map((name) => by.get(name)).filter(Boolean);
    depth.set(it.name, needs.length ? 1 + Math.max(...needs.map(deep)) : 0);
    return depth.get(it.name);
  };
  const columns = [];
  for (const it of loops) (columns[deep(it)] ??= []).push(it);
  const place = new Map();
  columns.forEach((column, x) => column.forEach((it, y) =>
    place.set(it.name, { x: x * (WIDE + GAP) + 1, y: y * (HIGH + 12) + 1 })));
  const width = columns.length * (WIDE + GAP) - GAP + 2;
  const height = Math.max(1, ...columns.map((it) => it.length)) * (HIGH + 12);
  const edges = loops.flatMap((it) => it.needs.filter((name) => place.has(name)).map((name) => {
    const from = place.get(name);
    const to = place.get(it.name);
    const [x1, y1, x2, y2] = [from.x + WIDE, from.y + HIGH / 2, to.x, to.y + HIGH / 2];
    return svg("path.edge", { d: `M${x1} ${y1}C${x1 + GAP} ${y1} ${x2 - GAP} ${y2} ${x2} ${y2}`, "data-from": name, "data-to": it.name });
  }));
  const nodes = loops.map((it) => {
    const { x, y } = place.get(it.name);
    return svg(`a.node.${it.group}`, { href: `#/loop/${it.name}`, "aria-label": `${it.name}, ${it.state}`, "data-node": it.name },
      svg("rect", { x, y, width: WIDE, height: HIGH, rx: 5 }),
      svg("text", { x: x + 8, y: y + 16 }, fit(it.name.split(".").slice(1).join(".") || it.name)),
      svg("text.small", { x: x + 8, y: y + 32 }, fit(it.state)));
  });
  return svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "loops and their needs" }, edges, nodes);
}

function fit(text) {
  return text.length > 20 ? `${text.slice(0, 19)}…` : text;
}

// A row for each loop, a bar for each of its iterations.
function drawTime(loops) {
  const bars = loops.flatMap((it) => it.iterations.map((row) => ({ from: ms(row.started), span: row.ms, row, it })));
  const now = Math.max(...bars.map((it) => it.from + it.span), ...loops.map((it) => ms(it.last_sign)));
  const from = Math.min(...bars.map((it) => it.from));
  if (!bars.length) return h("p.dim", {}, "nothing was worked on yet");
  const label = 130;
  const room = 600;
  const scale = (at) => label + ((at - from) / Math.max(1, now - from)) * room;
  const height = loops.length * 24 + 20;
  const rows = loops.flatMap((it, y) => [
    svg("text", { x: 0, y: y * 24 + 16 }, fit(it.name)),
    it.iterations.map((row) => {
      const x = scale(ms(row.started));
      const end = row.verdict ? ms(row.started) + row.ms : now;
      return svg(`rect.stint.${row.verdict ?? "runs"}`, { x, y: y * 24 + 4, width: Math.max(3, scale(end) - x), height: 16, rx: 3 },
        svg("title", {}, `${it.name}, iteration ${row.n}: ${row.verdict ?? "runs"} ${row.summary}`));
    })]);
  return svg("svg", { width: label + room + 2, height, viewBox: `0 0 ${label + room + 2} ${height}`, role: "img", "aria-label": "iterations over time" },
    rows.flat(), svg("text.small", { x: label, y: height - 4 }, clock(from)),
    svg("text.small", { x: label + room - 60, y: height - 4 }, clock(now)));
}
