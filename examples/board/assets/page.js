"use strict";

const element = (id) => document.getElementById(id);
const name = new URLSearchParams(location.search).get("name") || `guest-${Math.floor(Math.random() * 10000)}`;

// The last messages of this page, the unconfirmed ones among them, and the last displayed ones by their IDs.
const own = new Map();
const unsent = new Set();
const shown = new Set();
let socket;
let position;

function connect() {
  const query = new URLSearchParams({ name });
  if (position) query.set("after", position);
  const address = `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}/socket?${query}`;
  socket = new WebSocket(address);
  socket.onopen = () => {
    element("status").textContent = `Connected as ${name}`;
    for (const id of unsent) socket.send(own.get(id));
  };
  socket.onmessage = (event) => receive(JSON.parse(event.data));
  socket.onclose = () => {
    element("status").textContent = "Not connected";
    element("cursors").replaceChildren();
    // Spreads the reconnects of all pages.
    setTimeout(connect, 100 + Math.random() * 400);
  };
}

function receive(event) {
  if (event.type === "note") {
    position = event.position;
    unsent.delete(event.note.id);
    if (!shown.has(event.note.id)) {
      shown.add(event.note.id);
      if (shown.size > 10000) shown.delete(shown.values().next().value);
      const author = document.createElement("b");
      author.textContent = event.note.name;
      add("notes", author, event.note.text);
    }
  } else if (event.type === "missed") {
    // Another process without the board: each page repeats its messages, and displays none of them twice.
    for (const message of own.values()) socket.send(message);
  } else if (event.type === "present") {
    element("present").replaceChildren(...event.names.map((name) => line(name)));
    for (const cursor of [...element("cursors").children]) {
      if (!event.names.includes(cursor.textContent)) cursor.remove();
    }
  } else if (event.type === "cursor") {
    const { name, at } = event.cursor;
    let cursor = [...element("cursors").children].find((cursor) => cursor.textContent === name);
    if (!cursor) {
      cursor = document.createElement("span");
      cursor.textContent = name;
      element("cursors").append(cursor);
    }
    cursor.style.left = `${at.x * 100}%`;
    cursor.style.top = `${at.y * 100}%`;
  } else if (event.type === "rejected") {
    element("status").textContent = event.reason;
  }
}

function line(...content) {
  const line = document.createElement("li");
  line.append(...content);
  return line;
}

// Keeps the scroll position of a user who reads older lines.
function add(id, ...content) {
  const list = element(id);
  const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 8;
  list.append(line(...content));
  while (list.children.length > 200) list.firstChild.remove();
  if (isAtEnd) list.scrollTop = list.scrollHeight;
}

function write(text) {
  const id = crypto.randomUUID();
  const message = JSON.stringify({ type: "write", id, text });
  own.set(id, message);
  unsent.add(id);
  if (own.size > 100) {
    const oldest = own.keys().next().value;
    own.delete(oldest);
    unsent.delete(oldest);
  }
  if (socket.readyState === WebSocket.OPEN) socket.send(message);
}

element("write").onsubmit = (event) => {
  event.preventDefault();
  write(element("text").value);
  element("text").value = "";
};

let moved = 0;
element("board").onpointermove = (event) => {
  // At most twenty positions per second.
  if (socket.readyState !== WebSocket.OPEN || Date.now() - moved < 50) return;
  moved = Date.now();
  const board = element("board").getBoundingClientRect();
  // Pointer positions are whole pixels; the edges of the board are not.
  const part = (offset, length) => Math.min(1, Math.max(0, offset / length));
  const at = { x: part(event.clientX - board.left, board.width), y: part(event.clientY - board.top, board.height) };
  socket.send(JSON.stringify({ type: "move", at }));
};

element("file").onchange = () => {
  const file = element("file").files[0];
  const request = new XMLHttpRequest();
  const progress = element("progress");
  request.upload.onprogress = (event) => (progress.value = event.loaded / event.total);
  request.onloadend = () => {
    progress.hidden = true;
    element("file").value = "";
    if (request.status !== 201) add("feed", `The file was not shared (${request.status || "no connection"})`);
  };
  progress.hidden = false;
  progress.value = 0;
  request.open("POST", `/files?${new URLSearchParams({ name })}`);
  request.setRequestHeader("content-type", "application/octet-stream");
  request.send(file);
};

// The browser reconnects by itself, with the ID of the last event.
const feed = new EventSource("/feed");
feed.onmessage = (event) => {
  const { name, activity, file } = JSON.parse(event.data);
  if (!file) return add("feed", `${name} ${activity}`);
  const link = document.createElement("a");
  link.href = file;
  link.textContent = activity;
  add("feed", `${name} `, link);
};
feed.addEventListener("missed", () => add("feed", "Some activity is missing here."));

connect();
