// Drives the service through the client that it prints: each status and each error variant.

import {
  type Client,
  linksCreate,
  linksFollow,
  linksList,
  linksRemove,
  linksShow,
  usersSignIn,
  usersSignOut,
  usersSignUp,
  usersWhoami,
} from "./client.js";

declare const process: { argv: string[] };

function check(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(message);
}

const baseUrl = process.argv[2] ?? "";
const body = { name: "ada", password: "correct horse" };
const anonymous: Client = { baseUrl };

check((await usersSignUp(anonymous, { body })).status === 201, "Ada signs up");
const taken = await usersSignUp(anonymous, { body });
check(taken.status === 409, "the name is taken");
check(taken.body.title === "Name taken", "the variant has its title");

const denied = await linksList(anonymous);
check(denied.status === 401, "the list needs a session");

const signedIn = await usersSignIn(anonymous, { body });
check(signedIn.status === 201, "Ada signs in");
// Outside of browsers the program stores the cookie of the session; here a function returns it.
const cookie = signedIn.headers.get("set-cookie") ?? "";
const session = cookie.slice(cookie.indexOf("=") + 1).split(";")[0] ?? "";
const ada: Client = { baseUrl: baseUrl, credentials: { session: () => Promise.resolve(session) } };
const who = await usersWhoami(ada);
check(who.status === 200 && who.body.name === "ada", "the session is valid");

const invalid = await linksCreate(ada, { body: { url: "no address" } });
check(invalid.status === 422, "the URL is invalid");
check("errors" in invalid.body && invalid.body.errors?.[0]?.path === "body.url", "the fault has its place");

for (const slug of ["first-link", "second-link", "a-third"]) {
  const created = await linksCreate(ada, { body: { url: `https://example.com/${slug}?a=b c`, slug } });
  check(created.status === 201, `${slug} is created`);
  check(created.headers.get("location") === `/api/links/${slug}`, "the location is a header field");
}
const page = await linksList(ada, { query: { limit: 2 } });
check(page.status === 200 && page.body.links.length === 2 && page.body.next !== null, "a page has two links");
const rest = await linksList(ada, { query: { limit: 2, after: page.body.next ?? 0 } });
check(rest.status === 200 && rest.body.links.length === 1, "the rest has one link");

const followed = await linksFollow(anonymous, { path: { slug: "first-link" } });
check(followed.status === 307, "a link redirects, and the client does not follow");
const shown = await linksShow(ada, { path: { slug: "first-link" } });
check(shown.status === 200 && shown.body.clicks === 1, "the click is counted");

check((await linksRemove(ada, { path: { slug: "a-third" } })).status === 204, "a link is removed");
const gone = await linksShow(ada, { path: { slug: "a/third" } });
check(gone.status === 404 && gone.body.title === "No such link", "a name with a slash is one segment");

const aborted = await linksList(ada, {}, { signal: AbortSignal.abort() }).catch((error: Error) => error.name);
check(aborted === "AbortError", "a signal aborts the request");
const other = await linksList(ada, {}, { headers: { cookie: "" } });
check(other.status === 401, "the header fields of a call replace those of the client");

check((await usersSignOut(ada)).status === 204, "Ada signs out");
check((await usersWhoami(ada)).status === 401, "the token is invalid");
