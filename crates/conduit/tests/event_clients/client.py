"""The client `httpx-sse`: the data, names and identities of events, and three reconnects without a gap; over HTTP/2 with TLS."""

import json
import sys

import httpx
from httpx_sse import connect_sse

COUNT = 12


def main(url):
    number = 0
    last = ""
    with httpx.Client(http2=True, verify=False) as client:
        while number < COUNT:
            headers = {"last-event-id": last} if last else {}
            with connect_sse(client, "GET", url, headers=headers) as source:
                version = "HTTP/2" if url.startswith("https:") else "HTTP/1.1"
                assert source.response.http_version == version, source.response.http_version
                assert source.response.headers["content-encoding"] == "gzip", source.response.headers
                for event in source.iter_sse():
                    if not event.data:
                        # An event without data: this client returns its other fields.
                        assert event.retry == 10 or event.id == last, event
                        continue
                    number += 1
                    last = event.id
                    assert event.id == str(number), event
                    if number % 3 == 0:
                        assert event.data == f"line\n{number}\n\u00fc", event
                    elif number % 3 == 1:
                        assert json.loads(event.data) == f"a\nb\r\0\u2028{number}", event
                    else:
                        assert event.event == "even \u00fc", event
                        assert json.loads(event.data) == str(number), event


for address in sys.argv[1:]:
    main(address)
