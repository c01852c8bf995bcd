"""The official client of Python: arguments are the address over HTTP and the program for standard input and output."""

import asyncio
import json
import sys

from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client

ADDRESS, PROGRAM = sys.argv[1:]
# The mode of the client, and the resulting revision of the protocol.
REVISIONS = [("2026-07-28", "2026-07-28"), ("legacy", "2025-11-25")]


def over_http(token):
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    return streamable_http_client(ADDRESS, http_client=create_mcp_http_client(headers=headers))


def over_stdio(token):
    env = {} if token is None else {"CONDUIT_MCP_AUTHORIZATION": f"Bearer {token}"}
    return StdioServerParameters(command=PROGRAM, args=["--mcp"], env=env)


async def use(transport, mode, revision):
    async with Client(transport("ada"), mode=mode) as client:
        assert client.protocol_version == revision, client.protocol_version
        listed = await client.list_tools()
        names = sorted(tool.name for tool in listed.tools)
        assert names == ["add_note", "export_notes", "find_notes", "show_note"], names
        added = await client.call_tool("add_note", {"text": "engine"})
        assert added.structured_content["text"] == "engine", added
        found = await client.call_tool("find_notes", {"text": "eng"})
        assert added.structured_content in found.structured_content["result"], found
        missing = await client.call_tool("show_note", {"id": 999})
        assert missing.is_error and json.loads(missing.content[0].text)["status"] == 404, missing
        progress = []

        async def on_progress(value, total, message):
            progress.append((value, total))

        exported = await client.call_tool("export_notes", {}, progress_callback=on_progress)
        assert not exported.is_error, exported
        assert progress == [(25, 100), (50, 100), (75, 100), (100, 100)], progress
    async with Client(transport(None), mode=mode) as stranger:
        refused = await stranger.call_tool("find_notes", {})
        assert refused.is_error and json.loads(refused.content[0].text)["status"] == 401, refused


async def main():
    for transport in [over_http, over_stdio]:
        for mode, revision in REVISIONS:
            await use(transport, mode, revision)


asyncio.run(main())
