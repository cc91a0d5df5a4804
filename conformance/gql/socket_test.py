"""gql's transports over a WebSocket: graphql-transport-ws by websockets and by aiohttp."""

import asyncio
import unittest

import server
from gql import Client, GraphQLRequest, gql
from gql.transport.aiohttp_websockets import AIOHTTPWebsocketsTransport
from gql.transport.exceptions import TransportError, TransportQueryError
from gql.transport.websockets import WebsocketsTransport

PROTOCOL = "graphql-transport-ws"
PATIENCE = 15


class Listening:
    """What both have to do; each class below brings its transport."""

    def connect(self, token=None, **more):
        payload = server.bearer(token) if token else {}
        # Left alone it offers the older protocol too, and then takes the answer for that one: it looks for the header
        # in capitals.
        options = {"init_payload": payload, "subprotocols": [PROTOCOL], "ping_interval": 1, **more}
        return Client(transport=self.transport(url=server.SOCKET_ENDPOINT, **options))

    async def test_a_query_and_a_mutation_are_answered(self):
        variables = {"email": server.new_email(), "password": server.PASSWORD}
        async with self.connect() as session:
            self.assertEqual(len((await session.execute(gql(server.TIERS)))["tiers"]), 4)
            registered = (await session.execute(GraphQLRequest(server.REGISTER, variable_values=variables)))["register"]
        async with self.connect(registered["tokens"]["accessToken"]) as session:
            self.assertEqual((await session.execute(gql(server.ME)))["me"], registered["account"])

    async def test_usage_is_told_as_it_changes(self):
        account, token = await asyncio.to_thread(server.register)
        report = server.new_meter()
        async with self.connect(token) as session, asyncio.timeout(PATIENCE):
            usage = session.subscribe(gql(server.USAGE))
            self.assertEqual(await anext(usage), {"usage": {"ram": {"megabytesUsed": None}}})
            for megabytes in (5, 7):
                await asyncio.to_thread(report, account, megabytes)
                self.assertEqual(await anext(usage), {"usage": {"ram": {"megabytesUsed": megabytes}}})
            await usage.aclose()
            self.assertEqual((await session.execute(gql(server.ME)))["me"]["id"], account)

    async def test_who_has_not_signed_in_may_not_listen(self):
        async with self.connect() as session:
            with self.assertRaises(TransportQueryError) as refusal:
                await anext(session.subscribe(gql(server.USAGE)))
        self.assertEqual(refusal.exception.errors[0]["extensions"]["code"], "UNAUTHENTICATED")

    async def test_a_token_that_does_not_hold_opens_nothing(self):
        with self.assertRaises(TransportError):
            async with self.connect("nonsense"):
                pass

    async def test_pings_are_answered(self):
        async with self.connect(pong_timeout=PATIENCE) as session:
            await asyncio.wait_for(session.transport.pong_received.wait(), PATIENCE)
            self.assertEqual(len((await session.execute(gql(server.TIERS)))["tiers"]), 4)


class WebsocketsTest(Listening, unittest.IsolatedAsyncioTestCase):
    transport = WebsocketsTransport


class AiohttpTest(Listening, unittest.IsolatedAsyncioTestCase):
    transport = AIOHTTPWebsocketsTransport
