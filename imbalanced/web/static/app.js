// The live page: one websocket for signals, metrics and status, and /api/status now and then for what changes slowly.
// Everything from outside goes into the page as text, never as markup.

const STALE_S = 5;          // a value older than this is greyed and shows its age
const KEEP_SIGNALS = 200;
const STATUS_EVERY_MS = 5000;

const $ = (id) => document.getElementById(id);
const meta = (name) => document.querySelector(`meta[name="${name}"]`).content;

function element(tag, text, ...classes) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  node.classList.add(...classes.filter(Boolean));
  return node;
}

// ---- words for numbers ----------------------------------------------------------------------------------------------

const DASH = "–";
const ARROWS = { buy: "▲ buy", sell: "▼ sell", none: "• none" };

function number(value) {
  if (value === null || value === undefined) return DASH;
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e6 || size < 1e-4)) return value.toExponential(2).replace("-", "−");
  return value.toLocaleString("en", { maximumFractionDigits: size >= 100 ? 1 : 4 }).replace("-", "−");
}

const signed = (value) => (value > 0 ? "+" : "") + number(value);
const sideOf = (value) => (value > 0 ? "buy" : value < 0 ? "sell" : "none");
const time = (ns) => new Date(ns / 1e6).toISOString().slice(11, 23);

function age(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  return seconds < 3600 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

// ---- books and metrics ----------------------------------------------------------------------------------------------

const books = new Map();
// A spread or a volume is never negative and has no side: sign and colour only for what has been seen below zero.
const signedNames = new Set();
let clockOffsetMs = 0;      // the server's clock minus ours, from the answers to our pings
const serverNowNs = () => (Date.now() + clockOffsetMs) * 1e6;

function bookOf(venue, instrument) {
  const key = `${venue}:${instrument}`;
  let book = books.get(key);
  if (!book) {
    const card = element("article", undefined, "book");
    const title = element("h3", instrument);
    const state = element("span", "pending", "dim");
    const where = element("div", undefined, "where");
    const ageText = element("span");
    const mid = element("div", DASH, "mid");
    const values = element("dl", undefined, "values");
    title.append(state);
    where.append(element("span", venue), ageText);
    card.append(title, where, mid, values);
    book = { key, card, stateText: state, ageText, mid, values, cells: new Map(), recvNs: 0, state: "", reason: null };
    books.set(key, book);
    place(book);
    setState(book, "pending", null);
  }
  return book;
}

function place(book) {
  document.querySelector("#books .empty")?.remove();
  const next = [...books.values()].filter((other) => other.key > book.key && other.card.isConnected);
  next.sort((a, b) => (a.key < b.key ? -1 : 1));
  $("books").insertBefore(book.card, next[0]?.card ?? null);
}

// A book has more states than a card has colours.
const PROVING = new Set(["pending", "idle", "connecting", "subscribing", "acked", "buffering"]);
const cardState = (state) => (PROVING.has(state) ? "pending" : state === "live" || state === "suspect" ? "live" : "invalid");

// What the card of a book says; "unknown" while nobody tells us.
const STATES = {
  live: () => "● live",
  invalid: (reason) => `✕ ${reason ?? "invalid"}`,
  unknown: () => "– unknown",
};

function setState(book, state, reason) {
  if (book.state === state && book.reason === reason) return;
  book.state = state;
  book.reason = reason;
  book.card.dataset.state = state;
  book.stateText.textContent = STATES[state]?.(reason) ?? "○ pending";
  countBooks();
}

function countBooks() {
  const live = [...books.values()].filter((book) => book.state === "live").length;
  $("counts").textContent = books.size ? `${live} of ${books.size} live` : "";
}

function showMetrics(data) {
  const book = bookOf(data.venue, data.instrument);
  book.recvNs = data.recv_ns;
  book.mid.textContent = data.mid ?? DASH;
  for (const [name, value] of Object.entries(data.values)) {
    let cell = book.cells.get(name);
    if (!cell) {
      const term = element("dt", name);
      term.title = name;
      cell = element("dd");
      book.values.append(term, cell);
      book.cells.set(name, cell);
    }
    if (value < 0) signedNames.add(name);
    const hasSide = value !== null && signedNames.has(name);
    cell.textContent = hasSide ? signed(value) : number(value);
    cell.className = hasSide ? sideOf(value) : value === null ? "none" : "";
  }
}

function showAges() {
  for (const book of books.values()) {
    const seconds = Math.max(0, (serverNowNs() - book.recvNs) / 1e9);
    const stale = book.recvNs === 0 || seconds > STALE_S || book.state === "invalid" || !connected;
    book.card.classList.toggle("stale", stale);
    book.ageText.textContent = book.recvNs && stale ? `${age(seconds)} old` : "";
  }
}

function showStatus(data) {
  if (data.event === "book_valid") setState(bookOf(data.venue, data.instrument), "live", null);
  if (data.event === "book_invalid") setState(bookOf(data.venue, data.instrument), "invalid", data.reason);
}

// ---- signals --------------------------------------------------------------------------------------------------------

function showSignal(signal, fresh) {
  const rows = $("signals");
  rows.querySelector(".empty")?.remove();
  const row = element("tr", undefined, signal.event, fresh && "fresh");
  const strength = element("meter");
  strength.value = signal.strength;
  strength.title = number(signal.strength);
  const strengthCell = element("td", undefined, signal.side);
  strengthCell.append(strength);
  const instrument = element("td", signal.instrument);
  instrument.append(element("span", `  ${signal.venue}`, "dim"));
  row.title = `${signal.id}  ` + Object.entries(signal.evidence).map(([k, v]) => `${k} ${v ?? DASH}`).join("  ");
  row.append(
    element("td", time(signal.recv_ns), "time"),
    element("td", signal.reason ? `${signal.event}: ${signal.reason}` : signal.event),
    element("td", ARROWS[signal.side] ?? signal.side, signal.side),
    element("td", signal.kind),
    instrument,
    element("td", signed(signal.score), "num", signal.side),
    strengthCell,
    element("td", signal.mid ?? DASH, "num"),
  );
  rows.prepend(row);
  while (rows.children.length > KEEP_SIGNALS) rows.lastChild.remove();
}

// ---- facts in the header --------------------------------------------------------------------------------------------

function showFacts(facts) {
  $("facts").replaceChildren(...Object.entries(facts).filter(([, value]) => value !== undefined).map(([name, value]) => {
    const pair = element("div");
    pair.append(element("dt", name), element("dd", String(value)));
    return pair;
  }));
}

async function pollStatus() {
  try {
    const answer = await fetch("api/status", { cache: "no-store" });
    if (!answer.ok) return;
    const status = await answer.json();
    for (const book of status.books ?? []) setState(bookOf(book.venue, book.instrument), cardState(book.state), book.reason ?? null);
    const sinks = (status.sinks ?? []).map((sink) => `${sink.name} ${sink.connected ? "✓" : "✕"}`).join("  ");
    showFacts({ version: status.version, signals: status.last_seq, sinks: sinks || undefined });
  } catch {
    showFacts({}); // the daemon is away, and the pill beside the name says so
  }
}

// ---- the stream -----------------------------------------------------------------------------------------------------

let socket = null;
let connected = false;
let epoch = null;           // whose life `nextSeq` counts in
let nextSeq = null;
let liveFrom = 0;           // signals before this one are history, shown without a flash
let failures = 0;
let token = new URLSearchParams(location.hash.slice(1)).get("token"); // a fragment is never sent to a server

function streamUrl() {
  const url = meta("stream-url");
  if (url) return url;
  return `${location.protocol === "https:" ? "wss" : "ws"}://${location.hostname}:${meta("stream-port")}/v1`;
}

function pill(state, text) {
  $("link").dataset.state = state;
  $("link").textContent = text;
}

const send = (message) => socket.send(JSON.stringify(message));

function subscribe(welcome) {
  if (epoch !== welcome.epoch || nextSeq === null) {
    nextSeq = Math.max(welcome.oldest_seq, welcome.last_seq - 99);
    $("signals").replaceChildren();
  }
  epoch = welcome.epoch;
  send({ op: "subscribe", id: "signals", channel: "signals", from_seq: nextSeq, epoch });
  send({ op: "subscribe", id: "metrics", channel: "metrics" });
  send({ op: "subscribe", id: "status", channel: "status" });
  send({ op: "ping" });
}

let welcome = null;

function received(message) {
  switch (message.op ?? message.channel) {
    case "welcome":
      welcome = message;
      if (!message.auth_required) subscribe(message);
      else if (token) send({ op: "auth", token });
      else askToken();
      break;
    case "authenticated":
      subscribe(welcome);
      break;
    case "subscribed":
      connected = true;
      failures = 0;
      pill("up", "● live");
      if (message.channel === "signals") liveFrom = message.next_seq;
      break;
    case "pong":
      clockOffsetMs = message.ts_ns / 1e6 - Date.now();
      break;
    case "signals":
      nextSeq = message.data.seq + 1;
      showSignal(message.data, message.data.seq >= liveFrom);
      break;
    case "metrics":
      showMetrics(message.data);
      break;
    case "status":
      showStatus(message.data);
      break;
    case "error":
      console.warn("stream:", message.code, message.message);
      break;
  }
}

function askToken() {
  pill("wait", "token needed");
  $("token").hidden = false;
  $("token").onsubmit = (event) => {
    event.preventDefault();
    token = $("token").querySelector("input").value;
    $("token").hidden = true;
    if (socket?.readyState === WebSocket.OPEN) send({ op: "auth", token });
    else connect();
  };
}

function connect() {
  socket = new WebSocket(streamUrl());
  socket.onmessage = (event) => received(JSON.parse(event.data));
  socket.onclose = (event) => {
    connected = false;
    for (const book of books.values()) setState(book, "unknown", null); // what was last heard is no longer known
    if (event.code === 4001) {
      token = null;
      askToken();
      return;
    }
    const wait = Math.random() * Math.min(15000, 500 * 2 ** failures);
    failures += 1;
    pill("down", event.code === 4008 ? "✕ too slow, reconnecting" : "✕ disconnected");
    setTimeout(connect, wait);
  };
}

$("palette").checked = localStorage.getItem("palette") === "blue";
$("palette").onchange = () => {
  localStorage.setItem("palette", $("palette").checked ? "blue" : "");
  document.documentElement.classList.toggle("blue", $("palette").checked);
};
$("palette").onchange();

connect();
pollStatus();
setInterval(pollStatus, STATUS_EVERY_MS);
setInterval(showAges, 1000);
setInterval(() => connected && send({ op: "ping" }), 30000);
