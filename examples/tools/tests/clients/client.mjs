// The official client of TypeScript: arguments are the address over HTTP and the program for standard input and output.
import assert from "node:assert/strict";

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [address, program] = process.argv.slice(2);

function overHttp(token) {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return new StreamableHTTPClientTransport(new URL(address), { requestInit: { headers } });
}

function overStdio(token) {
  const env = token === undefined ? {} : { CONDUIT_MCP_AUTHORIZATION: `Bearer ${token}` };
  return new StdioClientTransport({ command: program, args: ["--mcp"], env });
}

for (const transport of [overHttp, overStdio]) {
  const client = new Client({ name: "test", version: "1.0.0" });
  await client.connect(transport("ada"));
  const { tools } = await client.listTools();
  assert.deepEqual(tools.map((tool) => tool.name).sort(), ["add_note", "export_notes", "find_notes", "show_note"]);
  const added = await client.callTool({ name: "add_note", arguments: { text: "engine" } });
  assert.equal(added.structuredContent.text, "engine");
  const found = await client.callTool({ name: "find_notes", arguments: { text: "eng" } });
  assert.equal(found.structuredContent.result[0].id, added.structuredContent.id);
  const missing = await client.callTool({ name: "show_note", arguments: { id: 999 } });
  assert.equal(missing.isError, true);
  assert.equal(JSON.parse(missing.content[0].text).status, 404);
  const progress = [];
  const exported = await client.callTool({ name: "export_notes", arguments: {} }, undefined, {
    onprogress: (update) => progress.push(update.progress),
  });
  // This client ignores an update that it reads together with the result.
  assert.deepEqual(progress, [25, 50, 75, 100].slice(0, progress.length));
  assert.ok(progress.length >= 3);
  assert.ok(!exported.isError);
  await client.close();

  const stranger = new Client({ name: "test", version: "1.0.0" });
  await stranger.connect(transport());
  const refused = await stranger.callTool({ name: "find_notes", arguments: {} });
  assert.equal(refused.isError, true);
  assert.equal(JSON.parse(refused.content[0].text).status, 401);
  await stranger.close();
}
