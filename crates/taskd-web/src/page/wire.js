// The way to the daemon: what is asked, what is done, and what it says by itself.

const KEY = "taskd";

export class Refusal extends Error {
  constructor({ code, message, hint }) {
    super(message);
    this.code = code;
    this.hint = hint;
  }

  get text() {
    return this.hint ? `${this.message}; next: ${this.hint}` : this.message;
  }
}

async function post(path, body, signal) {
  const headers = { "content-type": "application/json" };
  // What the key opens is this origin only, and so is where it is kept.
  const key = localStorage.getItem(KEY);
  if (key) headers.authorization = `Bearer ${key}`;
  let answer;
  try {
    answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body), signal });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refusal({ code: "unreachable", message: "nobody serves this page any more", hint: "taskd web" });
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  throw new Refusal(said.error ?? { message: `the answer was ${answer.status}`, hint: "taskd web" });
}

// Opens the page with the address's token, if there is one. A page that is open already stays so.
export async function enter() {
  const token = location.hash.slice(1);
  if (!/^[0-9a-f]{64}$/.test(token)) return;
  history.replaceState(null, "", "/#/");
  try {
    const { key } = await (await post("/enter", { token })).json();
    localStorage.setItem(KEY, key);
  } catch (error) {
    if (!localStorage.getItem(KEY)) throw error;
  }
}

export async function ask(question) {
  return (await post("/ask", question)).json();
}

// The whole of a log, as a file.
export async function whole(id, kind) {
  return (await post("/log", { id, kind })).blob();
}

// Done once, however often it is sent.
export async function act(verb, id, more = {}) {
  const key = `page-${crypto.randomUUID()}`;
  const { results } = await (await post("/act", { verb, id, key, ...more })).json();
  const refused = results.find((it) => it.error);
  if (refused) throw new Refusal({ ...refused.error, message: `${refused.id}: ${refused.error.message}` });
  return results.map((it) => `${it.name || it.id}: ${it.message}`).join("; ") || "nothing to do";
}

// Calls `on(kind, data)` with what is said, until it is refused or given up; connects again by itself.
export async function follow(about, on, signal) {
  for (let tried = 0; !signal.aborted; tried++) {
    try {
      const answer = await post("/stream", { about }, signal);
      tried = 0;
      on("open", {});
      await read(answer.body, on);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refusal && error.code === "denied") throw error;
      on("cut", { why: error.message });
    }
    await new Promise((done) => setTimeout(done, Math.min(2000, 50 << Math.min(tried, 6))));
  }
}

async function read(body, on) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const [, kind, data] = /^event: (\w+)\ndata: (.*)$/.exec(part) ?? [];
      if (kind) on(kind, JSON.parse(data));
    }
  }
}
