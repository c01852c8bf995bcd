// The client `ws`: messages of each length, pings, compression, subprotocols, Close.
const assert = require("node:assert");
const { once } = require("node:events");
const WebSocket = require("ws");

async function exchange(url, protocols, options) {
  const socket = new WebSocket(url, protocols, options);
  await once(socket, "open");
  for (const length of [0, 1, 125, 126, 65535, 65536, 1000000]) {
    socket.send("x".repeat(length));
    const [text, isBinary] = await once(socket, "message");
    assert(!isBinary && text.toString() === "x".repeat(length), `${length}`);
    socket.send(Buffer.alloc(length, 7));
    const [bytes] = await once(socket, "message");
    assert(bytes.equals(Buffer.alloc(length, 7)), `${length}`);
  }
  socket.send("frag", { fin: false });
  socket.ping("payload");
  socket.send("ments", { fin: true });
  const [[pong], [text]] = await Promise.all([once(socket, "pong"), once(socket, "message")]);
  assert(pong.toString() === "payload" && text.toString() === "fragments");
  socket.close(4001, "done");
  const [code] = await once(socket, "close");
  assert.strictEqual(code, 4001);
  return socket;
}

async function main(address) {
  const plain = await exchange(`${address}/shared`, [], { perMessageDeflate: false });
  assert.strictEqual(plain.extensions, "");
  for (const path of ["own", "shared"]) {
    const compressed = await exchange(`${address}/${path}`, [], { perMessageDeflate: { threshold: 1 } });
    assert(compressed.extensions.startsWith("permessage-deflate"), compressed.extensions);
  }
  const chosen = await exchange(`${address}/shared`, ["other", "echo"], {});
  assert.strictEqual(chosen.protocol, "echo");
}

main(process.argv[2]).catch((error) => {
  console.error(error);
  process.exit(1);
});
