"""gql's transports for what answers once: requests, aiohttp and httpx."""

import unittest

import server
from gql import Client, GraphQLRequest, gql
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.exceptions import TransportQueryError
from gql.transport.httpx import HTTPXAsyncTransport, HTTPXTransport
from gql.transport.requests import RequestsHTTPTransport
from graphql import GraphQLError


def code(refusal):
    return refusal.exception.errors[0]["extensions"]["code"]


class Blocking:
    """What every transport has to do that blocks; each class below brings one."""

    def connect(self, token=None, **more):
        headers = server.bearer(token) if token else {}
        return Client(transport=self.transport(url=server.ENDPOINT, headers=headers), **more)

    def test_a_query_is_answered(self):
        tiers = self.connect().execute(gql(server.TIERS))["tiers"]
        self.assertEqual([tier["tier"] for tier in tiers], ["FREE", "STARTER", "PRO", "ENTERPRISE"])

    def test_a_mutation_registers_and_signs_in(self):
        variables = {"email": server.new_email(), "password": server.PASSWORD}
        with self.connect() as session:
            registered = session.execute(GraphQLRequest(server.REGISTER, variable_values=variables))["register"]
            signed_in = session.execute(GraphQLRequest(server.LOGIN, variable_values=variables))["login"]
        self.assertEqual(signed_in["account"], registered["account"])
        me = self.connect(signed_in["tokens"]["accessToken"]).execute(gql(server.ME))["me"]
        self.assertEqual(me, registered["account"])

    def test_an_error_has_the_code_that_the_contract_names(self):
        refused = {None: "UNAUTHENTICATED", "nonsense": "TOKEN_INVALID"}
        for token, expected in refused.items():
            with self.assertRaises(TransportQueryError) as refusal:
                self.connect(token).execute(gql(server.ME))
            self.assertEqual(code(refusal), expected)

    def test_a_document_is_held_against_the_schema_that_introspection_tells(self):
        client = self.connect(fetch_schema_from_transport=True)
        with client as session:
            session.execute(gql(server.TIERS))
            with self.assertRaises(GraphQLError) as refusal:
                session.execute(gql("{ tiers { nonsense } }"))
        self.assertIn("nonsense", str(refusal.exception))
        self.assertIsNotNone(client.schema.get_type("UInt53"))


class RequestsTest(Blocking, unittest.TestCase):
    transport = RequestsHTTPTransport


class HttpxTest(Blocking, unittest.TestCase):
    transport = HTTPXTransport


class Awaited:
    """The same for those that are awaited."""

    def connect(self, token=None, **more):
        headers = server.bearer(token) if token else {}
        return Client(transport=self.transport(url=server.ENDPOINT, headers=headers), **more)

    async def test_a_query_and_a_mutation_are_answered(self):
        variables = {"email": server.new_email(), "password": server.PASSWORD}
        async with self.connect() as session:
            self.assertEqual(len((await session.execute(gql(server.TIERS)))["tiers"]), 4)
            registered = (await session.execute(GraphQLRequest(server.REGISTER, variable_values=variables)))["register"]
        async with self.connect(registered["tokens"]["accessToken"]) as session:
            self.assertEqual((await session.execute(gql(server.ME)))["me"], registered["account"])

    async def test_an_error_has_the_code_that_the_contract_names(self):
        async with self.connect() as session:
            with self.assertRaises(TransportQueryError) as refusal:
                await session.execute(gql(server.ME))
        self.assertEqual(code(refusal), "UNAUTHENTICATED")

    async def test_a_document_is_held_against_the_schema_that_introspection_tells(self):
        async with self.connect(fetch_schema_from_transport=True) as session:
            with self.assertRaises(GraphQLError):
                await session.execute(gql("{ tiers { nonsense } }"))


class AiohttpTest(Awaited, unittest.IsolatedAsyncioTestCase):
    transport = AIOHTTPTransport


class HttpxAsyncTest(Awaited, unittest.IsolatedAsyncioTestCase):
    transport = HTTPXAsyncTransport
