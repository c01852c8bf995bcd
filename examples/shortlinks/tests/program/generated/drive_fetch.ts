// A round trip through the types of openapi-typescript and the client openapi-fetch.

import createClient from "openapi-fetch";
import type { paths } from "./schema.js";

declare const process: { argv: string[]; exit(code: number): never };

function check(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(message);
}

async function drive(): Promise<void> {
  const baseUrl = process.argv[2] ?? "";
  const client = createClient<paths>({ baseUrl });
  const body = { name: "fetch", password: "correct horse" };
  check((await client.POST("/api/users", { body })).response.status === 201, "sign up");
  const signedIn = await client.POST("/api/session", { body });
  const cookie = signedIn.response.headers.get("set-cookie")?.split(";")[0] ?? "";
  client.use({
    onRequest({ request }) {
      request.headers.set("cookie", cookie);
      return request;
    },
  });

  const created = await client.POST("/api/links", { body: { url: "https://example.com", slug: "by-fetch" } });
  check(created.data?.slug === "by-fetch", "create");
  const taken = await client.POST("/api/links", { body: { url: "https://example.com", slug: "by-fetch" } });
  check(taken.error?.title === "Slug taken", "a conflict has its title");
  const list = await client.GET("/api/links", { params: { query: { limit: 1 } } });
  check(list.data?.links[0]?.slug === "by-fetch" && list.data.next === null, "list");
  const path = { slug: "by-fetch" };
  const shown = await client.GET("/api/links/{slug}", { params: { path } });
  check(shown.data?.clicks === 0, "show");
  check((await client.DELETE("/api/links/{slug}", { params: { path } })).response.status === 204, "remove");
  const gone = await client.GET("/api/links/{slug}", { params: { path } });
  check(gone.response.status === 404 && gone.error !== undefined, "a removed link is a problem");
}

drive().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
