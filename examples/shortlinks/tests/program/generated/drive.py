"""A round trip through the client that openapi-python-client generates."""

import sys

from links import Client
from links.api.links import links_create, links_list, links_remove, links_show
from links.api.users import users_sign_in, users_sign_up
from links.models import LinksPage, NewLinkNewLinkInput, Problem, StoreLinksLink, UsersCredentials

client = Client(base_url=sys.argv[1])
credentials = UsersCredentials(name="python", password="correct horse")
assert users_sign_up.sync_detailed(client=client, body=credentials).status_code == 201
signed_in = users_sign_in.sync_detailed(client=client, body=credentials)
assert signed_in.status_code == 201
# The client of httpx has stored the cookie of the session, whose flag `Secure` rules out plain HTTP.
cookie = signed_in.headers["set-cookie"].split(";")[0]
client = client.with_headers({"cookie": cookie})

link = NewLinkNewLinkInput(url="https://example.com", slug="by-python")
created = links_create.sync(client=client, body=link)
assert isinstance(created, StoreLinksLink) and created.slug == "by-python", created
taken = links_create.sync_detailed(client=client, body=link)
assert taken.status_code == 409 and isinstance(taken.parsed, Problem) and taken.parsed.title == "Slug taken", taken
page = links_list.sync(client=client, limit=1)
assert isinstance(page, LinksPage) and page.links[0].slug == "by-python" and page.next_ is None, page
shown = links_show.sync("by-python", client=client)
assert isinstance(shown, StoreLinksLink) and shown.clicks == 0, shown
assert links_remove.sync_detailed("by-python", client=client).status_code == 204
assert links_show.sync_detailed("by-python", client=client).status_code == 404
