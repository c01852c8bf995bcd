
/** The server, and the requests that all functions send to it. */
export interface Client {
  /** The address of the server without a slash at its end; empty for the server of the page. */
  baseUrl: string;
  /** Added to each request, such as `user-agent`. */
  headers?: Record<string, string>;
  /** The credentials, by the name of their scheme; a function is called for each request. */
  credentials?: Credentials;
  /** Cookies in browsers: `include` sends them to another origin too. Default: `same-origin`. */
  cookies?: RequestCredentials;
  /** Replaces the `fetch` of the environment. */
  fetch?: typeof fetch;
}

/** A value, or a function that returns it, also later. */
export type Provided<T> = T | (() => T | Promise<T>);

/** The options of one call. */
export interface CallOptions {
  /** Aborts the request, or ends the events. */
  signal?: AbortSignal;
  /** Added to the request; these replace the client's. */
  headers?: Record<string, string>;
}

/** A response: `status` selects the type of its `body`. */
export interface Reply<S extends number, B> {
  status: S;
  body: B;
  headers: Headers;
}

/** One event of a stream. */
export interface ServerEvent<T> {
  /** Its identity, with which an interrupted stream continues; empty unless the server sends one. */
  id: string;
  /** Its name; `message` unless the server sends one. */
  event: string;
  data: T;
}

/**
 * The events of a stream. That of a GET or QUERY connects again when the connection is lost, from the last event on; it ends
 * when the signal aborts, when the loop is left, or when the server answers 204. That of another method, which may have
 * effects, ends with its response, and throws the error of `fetch` when the connection is lost. A function of the credentials that
 * throws while the stream connects again is called again at the next attempt.
 */
export type EventStream<T> = AsyncIterableIterator<ServerEvent<T>>;

export type Status1XX = 101 | 102 | 103;
export type Status2XX = 200 | 201 | 202 | 203 | 204 | 205 | 206 | 207 | 208 | 226;
export type Status3XX = 300 | 301 | 302 | 303 | 304 | 305 | 307 | 308;
export type Status4XX =
  | 400 | 401 | 402 | 403 | 404 | 405 | 406 | 407 | 408 | 409 | 410 | 411 | 412 | 413 | 414 | 415 | 416 | 417 | 418
  | 421 | 422 | 423 | 424 | 425 | 426 | 428 | 429 | 431 | 451;
export type Status5XX = 500 | 501 | 502 | 503 | 504 | 505 | 506 | 507 | 508 | 510 | 511;

interface RequestParts {
  method: string;
  /** The path, encoded. */
  path: string;
  query?: object | undefined;
  headers?: object | undefined;
  cookies?: object | undefined;
  body?: unknown;
  /** The media type of `body`. */
  type?: string;
  /** `manual` where a redirect is a response of the operation. */
  redirect?: RequestRedirect;
  /** Alternatives of schemes, of which a request satisfies one. */
  security?: string[][];
}

type Scheme = { kind: "bearer" | "basic" | "http" | "header" | "query" | "cookie"; name: string };

/**
 * The fields of a value as pairs: an object has the names of its fields in brackets, a list repeats its name. An element that is a
 * list or an object has its index in brackets.
 */
function $pairs(name: string, value: unknown, add: (name: string, value: unknown) => void): void {
  if (value === undefined || value === null) return;
  const isSingle = (item: unknown) => typeof item !== "object" || item === null || item instanceof Blob;
  if (Array.isArray(value))
    value.forEach((item: unknown, index) => $pairs(isSingle(item) ? name : `${name}[${index}]`, item, add));
  else if (!isSingle(value))
    for (const [key, member] of Object.entries(value)) $pairs(`${name}[${key}]`, member, add);
  else add(name, value);
}

function $fields(values: object, add: (name: string, value: unknown) => void): void {
  for (const [name, value] of Object.entries(values)) $pairs(name, value, add);
}

function $segment(value: unknown): string {
  const text = String(value);
  if (text === "") throw new TypeError("a parameter of the path is empty: no route matches it");
  return encodeURIComponent(text);
}

/** The rest of a path keeps its slashes where no client resolves the segments between them. */
function $rest(value: unknown): string {
  const text = String(value);
  // An empty segment at the end is a slash, which stays.
  const inner = text.endsWith("/") ? text.slice(0, -1) : text;
  if (inner.split("/").some((segment) => segment === "" || segment === "." || segment === ".."))
    return encodeURIComponent(text);
  return text.split("/").map(encodeURIComponent).join("/");
}

function $encode(body: unknown, type: string | undefined): BodyInit | undefined {
  if (body === undefined) return undefined;
  if (type === "multipart/form-data") {
    const form = new FormData();
    $fields(body as object, (name, value) => form.append(name, value instanceof Blob ? value : String(value)));
    return form;
  }
  if (type === "application/x-www-form-urlencoded") {
    const form = new URLSearchParams();
    $fields(body as object, (name, value) => form.append(name, String(value)));
    return form;
  }
  if (type === "application/json" || type?.endsWith("+json")) return JSON.stringify(body);
  return body as BodyInit;
}

/** The value of a cookie: the server decodes each item of a list. */
function $cookieValue(value: unknown): string {
  const items: unknown[] = Array.isArray(value) ? value : [value];
  return items.map((item) => encodeURIComponent(String(item))).join(",");
}

/** Adds a cookie. Browsers ignore this field and send their own cookies. */
function $cookie(headers: Headers, name: string, value: string): void {
  const others = headers.get("cookie");
  const pair = `${name}=${value}`;
  headers.set("cookie", others === null ? pair : `${others}; ${pair}`);
}

async function $authorize(client: Client, parts: RequestParts, headers: Headers, query: URLSearchParams): Promise<void> {
  const known = (client.credentials ?? {}) as Record<string, Provided<unknown> | undefined>;
  const way = parts.security?.find((names) => names.length > 0 && names.every((name) => known[name] !== undefined));
  for (const name of way ?? []) {
    const given = known[name];
    const value: unknown = typeof given === "function" ? await given() : given;
    const scheme = $schemes[name];
    if (scheme === undefined) continue;
    if (scheme.kind === "bearer") headers.set("authorization", `Bearer ${value}`);
    else if (scheme.kind === "http") headers.set("authorization", `${scheme.name} ${value}`);
    else if (scheme.kind === "basic") {
      const { username, password } = value as { username: string; password: string };
      const bytes = new TextEncoder().encode(`${username}:${password}`);
      headers.set("authorization", `Basic ${btoa(String.fromCharCode(...bytes))}`);
    } else if (scheme.kind === "header") headers.set(scheme.name, String(value));
    else if (scheme.kind === "query") query.set(scheme.name, String(value));
    else $cookie(headers, scheme.name, String(value));
  }
}

async function $fetch(client: Client, parts: RequestParts, options: CallOptions | undefined): Promise<Response> {
  // `fetch` resolves such paths to another route or, without a `baseUrl`, to another site.
  if (/^\/\/|\/\.\.?(\/|$)/.test(parts.path))
    throw new TypeError(`a parameter makes the path ${parts.path.slice(0, 80)} lead to another route: check it for "." and ".."`);
  const query = new URLSearchParams();
  $fields(parts.query ?? {}, (name, value) => query.append(name, String(value)));
  const headers = new Headers(client.headers);
  for (const [name, value] of Object.entries(parts.headers ?? {}))
    if (value !== undefined && value !== null) headers.set(name, Array.isArray(value) ? value.join(", ") : String(value));
  for (const [name, value] of Object.entries(parts.cookies ?? {}))
    if (value !== undefined && value !== null) $cookie(headers, name, $cookieValue(value));
  await $authorize(client, parts, headers, query);
  for (const [name, value] of Object.entries(options?.headers ?? {})) headers.set(name, value);
  const body = $encode(parts.body, parts.type);
  // `fetch` names the boundary of a form, and the type of a `Blob`.
  if (body !== undefined && !(body instanceof FormData) && parts.type !== undefined && !parts.type.includes("*"))
    headers.set("content-type", parts.type);
  const search = query.toString();
  const init: RequestInit = { method: parts.method, headers };
  if (body !== undefined) init.body = body;
  if (body instanceof ReadableStream) Object.assign(init, { duplex: "half" });
  if (client.cookies !== undefined) init.credentials = client.cookies;
  if (options?.signal !== undefined) init.signal = options.signal;
  if (parts.redirect !== undefined) init.redirect = parts.redirect;
  const address = client.baseUrl + parts.path + (search === "" ? "" : `?${search}`);
  return await (client.fetch ?? fetch)(address, init);
}

async function $read(response: Response): Promise<unknown> {
  const type = (response.headers.get("content-type") ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
  if (response.body === null || type === "") return undefined;
  if (type === "application/json" || type.endsWith("+json")) {
    const text = await response.text();
    return text === "" ? undefined : JSON.parse(text);
  }
  return type.startsWith("text/") ? await response.text() : await response.blob();
}

async function $send<R>(client: Client, parts: RequestParts, options: CallOptions | undefined): Promise<R> {
  const response = await $fetch(client, parts, options);
  const body = await $read(response);
  return { status: response.status, body, headers: response.headers } as R;
}

async function $stream<R>(client: Client, parts: RequestParts, options: CallOptions | undefined): Promise<R> {
  const response = await $fetch(client, parts, options);
  const type = response.headers.get("content-type") ?? "";
  const body = type.startsWith("text/event-stream") ? $events(client, parts, options, response) : await $read(response);
  return { status: response.status, body, headers: response.headers } as R;
}

/** The lines of a stream of bytes, which end in LF, CR or CRLF. */
async function* $lines(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += decoder.decode(value, { stream: true });
      for (;;) {
        const end = /\r\n|\n|\r(?=[^])/.exec(text);
        if (end === null) break;
        yield text.slice(0, end.index);
        text = text.slice(end.index + end[0].length);
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function $pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal?.addEventListener("abort", end);
  });
}

/** The pauses before a stream connects again, in milliseconds: they have at least these lengths, and double until an event arrives. */
const $firstPause = 50;
const $longestPause = 5000;
/** The longest pause that `setTimeout` takes. */
const $mostPause = 2 ** 31 - 1;

/** Events as in the WHATWG's HTML, section 9.2. */
async function* $events(
  client: Client,
  parts: RequestParts,
  options: CallOptions | undefined,
  first: Response,
): AsyncGenerator<ServerEvent<unknown>> {
  const signal = options?.signal;
  let response: Response | undefined = first;
  let lastId = "";
  let retry = 3000;
  let leastPause = $firstPause;
  // Only a safe method is repeated without the consent of the caller (RFC 9110, section 9.2).
  const isSafe = ["GET", "HEAD", "QUERY"].includes(parts.method);
  while (!signal?.aborted) {
    try {
      if (response === undefined) {
        const headers: Record<string, string> = { ...options?.headers };
        if (lastId !== "") headers["last-event-id"] = lastId;
        response = await $fetch(client, parts, { ...options, headers });
      }
      if (response.status === 204) return;
      const type = response.headers.get("content-type") ?? "";
      if (response.status < 500 && !type.startsWith("text/event-stream")) {
        throw new EventStreamError(response.status, await $read(response));
      }
      if (response.status === 200 && response.body !== null) {
        let data: string[] = [];
        let event = "";
        // It counts with the end of its event: an event that the connection cuts is sent again.
        let id = lastId;
        for await (const line of $lines(response.body)) {
          if (line === "") {
            lastId = id;
            const text = data.join("\n");
            if (data.length > 0) {
              leastPause = $firstPause;
              yield { id, event: event === "" ? "message" : event, data: $data(text) };
            }
            data = [];
            event = "";
            continue;
          }
          const colon = line.indexOf(":");
          const field = colon < 0 ? line : line.slice(0, colon);
          const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
          if (field === "data") data.push(value);
          else if (field === "event") event = value;
          else if (field === "id" && !value.includes("\0")) id = value;
          else if (field === "retry" && /^\d+$/.test(value)) retry = Number(value);
        }
      }
    } catch (error) {
      if (signal?.aborted) return;
      if (error instanceof EventStreamError || !isSafe) throw error;
    }
    if (!isSafe) return;
    response = undefined;
    await $pause(Math.min(Math.max(retry, leastPause), $mostPause), signal);
    leastPause = Math.min(2 * leastPause, $longestPause);
  }
}

/** Data is JSON, or a string. */
function $data(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** The server rejects to continue a stream. */
export class EventStreamError extends Error {
  constructor(
    readonly status: number,
    readonly body: unknown,
  ) {
    super(`the event stream cannot be continued: the server answered ${status}`);
  }
}

/** The server responds to the request for a page with something else. */
export class PageError extends Error {
  constructor(
    readonly status: number,
    readonly body: unknown,
  ) {
    super(`the page cannot be read: the server answered ${status}`);
  }
}
