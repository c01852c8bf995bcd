// A round trip through the client that @hey-api/openapi-ts generates.

import { client } from "./client/client.gen.js";
import { linksCreate, linksList, linksRemove, linksShow, usersSignIn, usersSignUp } from "./client/index.js";

declare const process: { argv: string[]; exit(code: number): never };

function check(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(message);
}

async function drive(): Promise<void> {
  client.setConfig({ baseUrl: process.argv[2] ?? "" });
  const body = { name: "hey", password: "correct horse" };
  check((await usersSignUp({ body })).response?.status === 201, "sign up");
  const signedIn = await usersSignIn({ body });
  const cookie = signedIn.response?.headers.get("set-cookie")?.split(";")[0] ?? "";
  client.setConfig({ headers: { cookie } });

  const created = await linksCreate({ body: { url: "https://example.com", slug: "by-hey" } });
  check(created.data?.slug === "by-hey", "create");
  const taken = await linksCreate({ body: { url: "https://example.com", slug: "by-hey" } });
  check(taken.error?.title === "Slug taken", "a conflict has its title");
  const list = await linksList({ query: { limit: 1 } });
  check(list.data?.links[0]?.slug === "by-hey" && list.data.next === null, "list");
  const path = { slug: "by-hey" };
  check((await linksShow({ path })).data?.clicks === 0, "show");
  check((await linksRemove({ path })).response?.status === 204, "remove");
  check((await linksShow({ path })).response?.status === 404, "a removed link is a problem");
}

drive().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
