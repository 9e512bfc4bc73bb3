// What was spent, and who waits for what.

import { ask, Refusal } from "./wire.js";
import { age, h, money, tokens } from "./text.js";

const BY = ["plan", "loop", "model", "class", "day"];

// A screen that asks when it is opened, and again while something happens, one question at a time.
function asking(el, question, store, draw) {
  let seq = null;
  let under = false;
  async function update() {
    if (under || seq === store.head.seq) return;
    under = true;
    const before = store.head.seq;
    try {
      draw(await ask(question()));
      seq = before;
    } catch (error) {
      el.replaceChildren(h("p.red", {}, error instanceof Refusal ? error.text : error.message));
    }
    under = false;
  }
  return { update, renew: () => { seq = null; update(); } };
}

export function costs({ store }) {
  let by = "plan";
  const table = h("div.scroll", {});
  const select = h("select", { "aria-label": "a row for each", onchange: () => { by = select.value; it.renew(); } },
    BY.map((name) => h("option", { value: name }, `by ${name}`)));
  const it = asking(table, () => ({ what: "costs", by }), store, ({ rows, total }) => {
    const used = (row) => by === "class"
      ? [h("td", {}, tokens(row.tokens ?? 0)), h("td", {}, money(row.cost_micros))]
      : [h("td", {}, tokens(row.input)), h("td", {}, tokens(row.output)), h("td", {}, tokens(row.cache_read)), h("td", {}, money(row.cost_micros, row.uncounted))];
    const heads = by === "class" ? [by, "tokens", "cost"] : [by, "in", "out", "cached", "cost"];
    const sum = by === "class" ? [h("td", {}), h("td", {}, money(total.cost_micros, total.uncounted))] : used(total);
    table.replaceChildren(h("table.wide", {},
      h("thead", {}, h("tr", {}, heads.map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, h("th", { scope: "row" }, row[by]), used(row)))),
      h("tfoot", {}, h("tr", {}, h("th", { scope: "row" }, "total"), sum))));
  });
  return { el: h("section.fill", {}, h("div.bar", {}, h("h1", {}, "costs"), select), table), update: it.update };
}

export function queue({ store }) {
  const body = h("div.scroll.text", {});
  const it = asking(body, () => ({ what: "queue" }), store, ({ buckets, landing }) => {
    const rows = landing.flatMap((one) => one.entries.map((entry) => h("li", {},
      h("a", { href: `#/loop/${entry.name}` }, entry.name), ` to ${entry.target ?? "its plan"}: ${entry.phase}${entry.held ? ", held" : ""}, ${age(entry.since)}`)));
    body.replaceChildren(
      h("h2", {}, "landing"), rows.length ? h("ol", {}, rows) : h("p.dim", {}, "nothing waits to land"),
      h("h2", {}, "model calls"),
      buckets.length ? h("ul", {}, buckets.map((one) => h("li", {},
        h("b", {}, one.name), ` ${one.in_flight} of ${one.limit} under way, ${one.waiting} wait, ${one.state.replace("_", " ")}`,
        h("ol", {}, one.next.map((next) => h("li", {}, h("a", { href: `#/loop/${next.name}` }, next.name), ` ${next.priority}, ${age(next.since)}`))))))
        : h("p.dim", {}, "no model was called yet"));
  });
  return { el: h("section.fill", {}, h("h1", {}, "queue"), body), update: it.update };
}
