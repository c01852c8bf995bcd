// uWebSockets in the runtime Bun: WebSockets that echo, and its topics for WebSockets.
const [hostname, port] = process.argv[2].split(":");

const server = Bun.serve({
  hostname,
  port: Number(port),
  async fetch(request, server) {
    const { pathname } = new URL(request.url);
    if (pathname === "/publish") {
      server.publish("news", await request.text(), true);
      return new Response("ok");
    }
    if (server.upgrade(request, { data: pathname })) return;
    return new Response("not found", { status: 404 });
  },
  websocket: {
    perMessageDeflate: { compress: "shared", decompress: "shared" },
    open(socket) {
      if (socket.data === "/topic") socket.subscribe("news");
    },
    message(socket, message) {
      socket.send(message);
    },
  },
});
