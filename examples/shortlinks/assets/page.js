"use strict";

const API = "/api/links", SESSION = "/api/session", USERS = "/api/users";
const element = (id) => document.getElementById(id);
const form = element("form"), account = element("account"), list = element("links"), more = element("more");
// What to ask for to get the part of the list after the one that is shown; null at its end.
let next = null;

/** The answer's JSON; an error answer is thrown, with the problem's detail as its message. */
async function call(path, { method = "GET", body } = {}) {
  const options = { method, headers: {} };
  if (body !== undefined) {
    options.headers["content-type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The service cannot be reached.");
  }
  if (response.ok) return response.status === 204 ? null : response.json();
  const problem = await response.json().catch(() => ({}));
  const error = new Error(problem.detail ?? problem.title ?? `The service answered ${response.status}.`);
  error.status = response.status;
  // Where a field is wrong, such as `body.url`.
  error.fields = (problem.errors ?? []).map(({ path }) => path.replace(/^body\./, ""));
  throw error;
}

function say(text, kind = "") {
  element("status").textContent = text;
  element("status").className = kind;
}

/** Runs what a button starts, once at a time, and shows what goes wrong. */
async function act(button, action) {
  button.disabled = true;
  try {
    await action();
  } catch (error) {
    // The session has ended, here or in another window.
    if (error.status === 401) show(null);
    say(error.fields?.length ? "" : error.message, "bad");
    return error;
  } finally {
    button.disabled = false;
  }
}

/** What users have written gets into the page as text only, never as HTML. */
function row(link) {
  const item = element("row").content.cloneNode(true).firstElementChild;
  const find = (selector) => item.querySelector(selector);
  const address = new URL(`/${link.slug}`, location).href;
  item.dataset.slug = link.slug;
  find(".short").textContent = address.replace(/^https?:\/\//, "");
  find(".short").href = address;
  find(".target").textContent = link.url;
  find(".target").title = link.url;
  find(".clicks span").textContent = link.clicks === 1 ? "1 click" : `${link.clicks} clicks`;
  find("time").dateTime = link.created_at;
  find("time").textContent = new Date(link.created_at).toLocaleDateString(undefined, { dateStyle: "medium" });
  find(".copy").setAttribute("aria-label", `Copy ${link.slug}`);
  find(".copy").onclick = (event) => act(event.currentTarget, async () => {
    // Browsers allow this on https and on the own machine only.
    if (!navigator.clipboard) throw new Error("This browser does not allow copying here: copy the link itself.");
    await navigator.clipboard.writeText(address);
    say(`Copied ${address}`, "good");
  });
  find(".delete").setAttribute("aria-label", `Delete ${link.slug}`);
  find(".delete").onclick = (event) => act(event.currentTarget, async () => {
    if (!confirm(`Delete ${address}? Whoever follows it will find nothing.`)) return;
    await call(`${API}/${link.slug}`, { method: "DELETE" });
    item.remove();
    showWhetherEmpty();
    say(`Deleted ${address}`, "good");
  });
  return item;
}

function showWhetherEmpty() {
  list.hidden = list.children.length === 0;
  element("empty").hidden = !list.hidden || next !== null;
}

async function load(after) {
  const page = await call(after === null ? API : `${API}?after=${after}`);
  const rows = page.links.map(row);
  if (after === null) list.replaceChildren(...rows);
  else list.append(...rows);
  next = page.next;
  more.hidden = next === null;
  showWhetherEmpty();
}

/** Says at each field of the form that is wrong what it takes. */
function showRules(form, wrong) {
  for (const input of form.querySelectorAll("input")) {
    const isWrong = wrong.includes(input.name);
    input.setAttribute("aria-invalid", String(isWrong));
    element(`${input.name}-rule`).textContent = isWrong ? input.dataset.rule : "";
  }
  form.querySelector("[aria-invalid=true]")?.focus();
}

/** Shows the page of this user, or that of nobody. */
function show(user) {
  account.hidden = user !== null;
  for (const id of ["who", "form", "mine"]) element(id).hidden = user === null;
  element("user").textContent = user?.name ?? "";
  if (user === null) {
    list.replaceChildren();
    next = null;
  }
}

async function signIn(credentials) {
  const user = await call(SESSION, { method: "POST", body: credentials });
  account.reset();
  show(user);
  await load(null);
  say(`Welcome, ${user.name}.`, "good");
  form.url.focus();
}

account.onsubmit = async (event) => {
  event.preventDefault();
  const credentials = { name: account.elements.name.value.trim(), password: account.elements.password.value };
  const button = event.submitter ?? account.querySelector("button");
  const error = await act(button, async () => {
    if (button.name === "sign-up") await call(USERS, { method: "POST", body: credentials });
    await signIn(credentials);
  });
  showRules(account, error?.fields ?? []);
};

element("sign-out").onclick = (event) => act(event.currentTarget, async () => {
  await call(SESSION, { method: "DELETE" });
  show(null);
  say("Signed out.", "good");
});

form.onsubmit = async (event) => {
  event.preventDefault();
  const link = { url: form.url.value.trim() };
  if (form.slug.value !== "") link.slug = form.slug.value;
  const error = await act(event.submitter ?? form.querySelector("button"), async () => {
    const made = await call(API, { method: "POST", body: link });
    list.prepend(row(made));
    showWhetherEmpty();
    form.reset();
    form.url.focus();
    say(`Made ${new URL(`/${made.slug}`, location).href}`, "good");
  });
  showRules(form, error?.fields ?? []);
};

more.onclick = () => act(more, () => load(next));
// Back from a link: its count has changed.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !element("mine").hidden) act(more, () => load(null));
});

/** Who has signed in here before? */
async function begin() {
  try {
    show(await call(SESSION));
    await load(null);
  } catch (error) {
    show(null);
    if (error.status !== 401) say(error.message, "bad");
  }
}
begin();
