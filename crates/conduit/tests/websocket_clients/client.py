"""The client `websockets`: messages of each length, fragments, pings, compression, subprotocols, Close."""
import asyncio
import ssl
import sys

import websockets


def options_for(url):
    """The certificate of the test is signed by itself."""
    if not url.startswith("wss:"):
        return {}
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return {"ssl": context}


async def exchange(url, **options):
    options.update(options_for(url))
    async with websockets.connect(url, max_size=None, **options) as socket:
        for length in [0, 1, 125, 126, 65535, 65536, 1000000]:
            for message in ["é" * (length // 2), bytes(length)]:
                await socket.send(message)
                assert await socket.recv() == message, length
        await socket.send(["frag", "men", "ts"])
        assert await socket.recv() == "fragments"
        await asyncio.wait_for(await socket.ping(b"payload"), 10)
        for at in range(1000):
            await socket.send(str(at))
        for at in range(1000):
            assert await socket.recv() == str(at)
        await socket.close(4001, "done")
    assert socket.close_code == 4001, socket.close_code
    return socket


async def main(address):
    plain = await exchange(f"{address}/shared", compression=None)
    assert not plain.protocol.extensions
    for path in ["own", "shared"]:
        compressed = await exchange(f"{address}/{path}")
        assert compressed.protocol.extensions
    chosen = await exchange(f"{address}/shared", subprotocols=["other", "echo"])
    assert chosen.subprotocol == "echo"
    try:
        await websockets.connect(f"{address}/shared", origin="https://example.org", **options_for(address))
        raise AssertionError("another origin is accepted")
    except websockets.InvalidStatus as error:
        assert error.response.status_code == 403


for address in sys.argv[1:]:
    asyncio.run(main(address))
