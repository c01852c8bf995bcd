"""What schemathesis cannot know from the document."""

import os

import requests
import schemathesis
from hypothesis import strategies as st

# A link must be http or https. A URI can have any scheme, which the service rejects and a schema cannot express.
labels = st.from_regex(r"[a-z]([a-z0-9]{0,10})", fullmatch=True)
paths = st.from_regex(r"(/[a-zA-Z0-9._~%20-]{0,10}){0,3}", fullmatch=True).filter(lambda path: "%" not in path)
urls = st.builds("{}://{}.{}{}".format, st.sampled_from(["http", "https"]), labels, labels, paths)
schemathesis.openapi.format("uri", urls)


SESSION = ["POST /api/session", "DELETE /api/session"]


@schemathesis.hook
def before_call(context, case, kwargs):
    """Signing in or out ends the session that all other calls are made with, so it gets another one."""
    cookie = (case.headers or {}).get("Cookie", "")
    if case.operation.label in SESSION and cookie in os.environ["SHORTLINKS_COOKIES"].split(","):
        credentials = {"name": "ada", "password": os.environ["SHORTLINKS_PASSWORD"]}
        session = requests.post(f"{os.environ['SHORTLINKS_ADDRESS']}/api/session", json=credentials, timeout=30)
        case.headers["Cookie"] = session.headers["set-cookie"].split(";")[0]
