"""The server that `run` has started, and those who use it."""

import json
import logging
import os
import urllib.request
import uuid

# Tests that are awaited run in asyncio's debug mode, which tells of every wait on a busy machine.
logging.getLogger("asyncio").setLevel(logging.ERROR)

ENDPOINT = os.environ["CONFORMANCE_SERVER"] + "/graphql"
SOCKET_ENDPOINT = ENDPOINT.replace("http", "ws", 1)
PASSWORD = "violet harbour kestrel 41"

TIERS = "{ tiers { tier cpuCores } }"
ME = "{ me { id } }"
USAGE = "subscription { usage(intervalMs: 100) { ram { megabytesUsed } } }"
REGISTER = """mutation ($email: String!, $password: String!) {
  register(input: { identity: { email: $email }, password: $password }) {
    account { id }
    tokens { accessToken }
  }
}"""
LOGIN = REGISTER.replace("register", "login")
REPORT = "mutation ($input: UsageReportInput!) { reportUsage(input: $input) { samples } }"


def bearer(token):
    return {"authorization": f"Bearer {token}"}


def granted(query, variables=None, token=None):
    """Asks by nothing but a POST for what has to be granted; gives the data."""
    headers = {"content-type": "application/json", **(bearer(token) if token else {})}
    body = json.dumps({"query": query, "variables": variables}).encode()
    with urllib.request.urlopen(urllib.request.Request(ENDPOINT, body, headers)) as response:
        answer = json.load(response)
    if "errors" in answer:
        raise AssertionError(answer["errors"])
    return answer["data"]


def new_email():
    return f"{uuid.uuid4()}@example.org"


def register():
    """Registers somebody new; gives the account's id and its access token."""
    registered = granted(REGISTER, {"email": new_email(), "password": PASSWORD})["register"]
    return registered["account"]["id"], registered["tokens"]["accessToken"]


def new_meter():
    """An agent's source, which tells the server what an account uses."""
    source = str(uuid.uuid4())
    sequence = 0

    def report(account, megabytes):
        nonlocal sequence
        sequence += 1
        sample = {"account": account, "ramBytes": megabytes * 1024 * 1024}
        given = {"source": source, "sequence": sequence, "samples": [sample]}
        granted(REPORT, {"input": given}, os.environ["CONFORMANCE_AGENT"])

    return report
