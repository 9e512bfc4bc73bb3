// All loops in their four groups, what needs you first; and what waits for you, with its answers.

import { card, Rows } from "./show.js";
import { age, count, h, money } from "./text.js";

const GROUPS = [["needs_you", "NEEDS YOU"], ["working", "WORKING"], ["waiting", "WAITING"], ["done", "DONE"]];

// Loops that are over and are shown, the last ones.
const DONE_SHOWN = 30;

export function narrow() {
  return matchMedia("(max-width: 640px)").matches;
}

export function home({ store }) {
  let words = [];
  let everything = false;
  // A row is made again only when its loop is another.
  let made = new WeakMap();
  const list = new Rows({
    label: "loops", tall: narrow() ? 54 : 28, key: (row) => row.key, draw: (row) => row.draw(),
  });
  const filter = h("input", {
    type: "search", placeholder: "filter", "aria-label": "only loops that hold these words",
    oninput: () => {
      words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      update();
    },
  });
  const all = h("button", { type: "button", "aria-pressed": "false", onclick: () => {
    everything = !everything;
    all.setAttribute("aria-pressed", String(everything));
    update();
  } }, "all that is done");

  function row(it) {
    if (!made.has(it)) {
      const plan = store.plan.get(it.plan);
      made.set(it, {
        key: `loop/${it.name}`, href: `#/loop/${it.name}`,
        draw: () => loopRow(it, it.name === it.plan ? plan?.title ?? it.title : it.title),
      });
    }
    return made.get(it);
  }

  function holds(it) {
    const text = `${it.name} ${it.title} ${it.worker} ${it.group} ${it.status} ${it.type}`.toLowerCase();
    return words.every((word) => text.includes(word));
  }

  let heads = new Map();
  function fixed(key, text, draw, href) {
    const was = heads.get(key);
    if (was?.text === text) return was;
    const it = { key, text, draw, href };
    heads.set(key, it);
    return it;
  }

  function update() {
    const groups = new Map(GROUPS.map(([name]) => [name, []]));
    const inOrder = [...store.loop.values()].filter(holds).sort((a, b) => a.place - b.place);
    for (const it of inOrder) groups.get(it.group)?.push(it);
    const rows = [];
    for (const [name, title] of GROUPS) {
      let loops = groups.get(name);
      if (!loops.length) continue;
      const text = `${title} (${loops.length})`;
      rows.push(fixed(`group/${name}`, text, () => h(`li.group.${name}`, {}, h("h2", {}, text))));
      const cut = name === "done" && !everything && !words.length && loops.length > DONE_SHOWN;
      if (cut) {
        const rest = loops.length - DONE_SHOWN;
        loops = [...loops].sort((a, b) => (a.ended < b.ended ? 1 : -1)).slice(0, DONE_SHOWN);
        rows.push(...branches(name, loops));
        const more = `and ${rest} more`;
        rows.push(fixed("more", more, () => h("li.dim", {}, h("span", {}, more))));
      } else {
        rows.push(...branches(name, loops));
      }
    }
    if (!rows.length) {
      const text = words.length ? "no loop holds these words" : "nothing yet:  taskd run \"what you want\" --agent claude";
      rows.push(fixed("none", text, () => h("li.dim", {}, h("span", {}, text))));
    }
    list.set(rows);
  }

  // Loops under their plans, where those have several.
  function branches(group, loops) {
    const rows = [];
    let last = null;
    for (const it of loops) {
      if (it.plan !== last && it.name !== it.plan) {
        const plan = store.plan.get(it.plan);
        const text = `${it.plan}  ${plan?.title ?? ""}|${plan?.landed} of ${plan?.specs} landed`;
        rows.push(fixed(`plan/${group}/${it.plan}`, text, () => planRow(it.plan, plan), `#/plan/${it.plan}`));
      }
      last = it.plan;
      rows.push(row(it));
    }
    return rows;
  }

  return {
    el: h("section.fill", {}, h("div.bar", {}, filter, all), list.box),
    update,
    pressed(key) {
      if (key === "j" || key === "ArrowDown") list.move(1);
      else if (key === "k" || key === "ArrowUp") list.move(-1);
      else if (key === "/") filter.focus();
      else return false;
      return true;
    },
  };
}

function loopRow(it, title) {
  return h("li.loop", { "data-loop": it.name },
    h("a.name", { href: `#/loop/${it.name}`, title }, it.name),
    h(`span.state.${it.group}`, {}, it.state),
    h("span.iter.dim", {}, it.iteration ? `${it.iteration}/${it.iterations_max}` : ""),
    h("span.age.dim", { "data-since": it.group === "working" ? it.last_sign : it.since },
      age(it.group === "working" ? it.last_sign : it.since)),
    h("span.cost.dim", {}, money(it.cost_micros, it.uncounted)));
}

function planRow(name, plan) {
  return h("li.plan", {},
    h("a.name", { href: `#/plan/${name}` }, name),
    h("span.state", {}, plan?.title ?? ""),
    h("span.iter.dim", {}, plan ? `${plan.landed} of ${plan.specs} landed` : ""));
}

export function inbox({ store }) {
  const list = h("ul.cards", {});
  const head = h("h1", {}, "inbox");
  const cards = new Map();
  function update() {
    const items = [...store.item.values()].sort((a, b) => (a.since < b.since ? -1 : 1));
    head.textContent = items.length ? `${count(items.length, "thing")} for you` : "nothing waits for you";
    const wanted = new Set();
    for (const it of items) {
      wanted.add(it.id);
      const text = JSON.stringify(it);
      const was = cards.get(it.id);
      if (was?.text === text) continue;
      const el = card(it);
      if (was) was.el.replaceWith(el);
      else list.append(el);
      cards.set(it.id, { el, text });
    }
    for (const [id, { el }] of cards) {
      if (wanted.has(id)) continue;
      el.remove();
      cards.delete(id);
    }
  }
  function move(by) {
    const all = [...list.querySelectorAll("button, a")];
    const at = all.indexOf(document.activeElement);
    all[Math.min(all.length - 1, Math.max(0, at < 0 ? 0 : at + by))]?.focus();
  }
  return {
    el: h("section", {}, head, list),
    update,
    pressed(key) {
      if (key === "j" || key === "ArrowDown") move(1);
      else if (key === "k" || key === "ArrowUp") move(-1);
      else if (/^[1-9]$/.test(key)) {
        const on = document.activeElement.closest?.("[data-item]");
        const choice = [...(on?.querySelectorAll("button") ?? [])].find((it) => it.textContent.startsWith(`${key} `));
        if (!choice) return false;
        choice.click();
      } else return false;
      return true;
    },
  };
}
