// Relay: its compiler takes the schema, and its runtime what the server answers.
import assert from "node:assert/strict";
import { test } from "node:test";

import runtime from "relay-runtime";

import { granted, inTime, newMeter, operatorToken, password, register } from "../server.mjs";
import { artifact, compile, environment } from "./environment.mjs";

const { commitMutation, createOperationDescriptor, fetchQuery, getSingularSelector, requestSubscription } = runtime;

const compiled = compile();

test("the compiler takes the documents: fragments, connections, refetches, mutations and subscriptions", () => {
  assert.equal(compiled.status, 0, compiled.stdout + compiled.stderr);
});

/** Asks, and keeps what was answered for as long as the test runs. */
async function fetched(at, query, variables) {
  at.retain(createOperationDescriptor(query, variables));
  return fetchQuery(at, query, variables).toPromise();
}

const read = (at, fragment, reference) => at.lookup(getSingularSelector(fragment, reference)).data;

const commit = (at, mutation, variables) =>
  new Promise((resolve, reject) => {
    const onCompleted = (answer, errors) => (errors ? reject(errors) : resolve(answer));
    commitMutation(at, { mutation, variables, onCompleted, onError: reject });
  });

/** Has so many complaints filed about an account. */
async function complain(account, count) {
  const filing = "mutation ($input: CopyrightComplaintInput!) { fileCopyrightComplaint(input: $input) { id } }";
  const ids = [];
  for (let number = 1; number <= count; number += 1) {
    const input = { account, noticeDigest: String(number).padStart(64, "0") };
    ids.unshift((await granted(filing, { input }, operatorToken)).fileCopyrightComplaint.id);
  }
  return ids;
}

test("violations are paged from their account, and the pages make one list", async () => {
  const ada = await register();
  const filed = await complain(ada.id, 5);
  const at = environment(ada.access);
  const [query, page, fragment, violation] = await Promise.all(
    ["ViolationsQuery", "ViolationsPageQuery", "Violations_account", "Violations_violation"].map(artifact),
  );
  const { me } = await fetched(at, query, { count: 2 });
  assert.equal(me.id, ada.id);
  let list = read(at, fragment, me).violations;
  for (let pages = 1; list.pageInfo.hasNextPage; pages += 1) {
    assert(pages < 3, "more pages than there are violations");
    await fetched(at, page, { id: ada.id, count: 2, cursor: list.pageInfo.endCursor });
    list = read(at, fragment, me).violations;
  }
  assert.deepEqual(list.edges.map(({ node }) => node.id), filed);
  assert.equal(read(at, violation, list.edges[0].node).kind, "COPYRIGHT");
});

test("an operator pages through everybody's violations", async () => {
  const ada = await register();
  const filed = await complain(ada.id, 3);
  const at = environment(operatorToken);
  const query = await artifact("ViolationsOfAllQuery");
  const filter = { account: ada.id };
  const first = (await fetched(at, query, { count: 2, filter })).violations;
  assert.deepEqual(first.edges.map(({ node }) => node.id), filed.slice(0, 2));
  const cursor = first.pageInfo.endCursor;
  await fetched(at, query, { count: 2, cursor, filter });
  const whole = at.lookup(createOperationDescriptor(query, { count: 2, filter }).fragment).data.violations;
  assert.deepEqual(whole.edges.map(({ node }) => node.id), filed);
});

test("what a mutation gives is what everybody reads who has asked for the account", async () => {
  const ada = await register();
  const at = environment(operatorToken);
  const names = ["StandingQuery", "StandingMutation", "Standing_account"];
  const [query, mutation, fragment] = await Promise.all(names.map(artifact));
  const { node } = await fetched(at, query, { id: ada.id });
  assert.equal(read(at, fragment, node.Standing_account).status, "ACTIVE");
  await commit(at, mutation, { account: ada.id, status: "READ_ONLY", reason: "under review" });
  const { status, statusReason } = read(at, fragment, node.Standing_account);
  assert.deepEqual([status, statusReason], ["READ_ONLY", "OPERATOR"]);
});

test("an account is asked anew by its id", async () => {
  const ada = await register();
  const at = environment(ada.access);
  const [refetch, fragment] = await Promise.all(["StandingRefetchQuery", "Standing_account"].map(artifact));
  const { node } = await fetched(at, refetch, { id: ada.id });
  assert.equal(read(at, fragment, node).trial.daysLeft, 30);
});

test("each kind of thing that has an id is found by it", async () => {
  const ada = await register();
  const [violation] = await complain(ada.id, 1);
  const [session] = (await granted("{ me { sessions { id } } }", {}, ada.access)).me.sessions;
  const query = await artifact("StandingQuery");
  const found = async (id) => (await fetched(environment(ada.access), query, { id })).node;
  assert.equal((await found(ada.id)).__typename, "Account");
  assert.equal((await found(session.id)).current, true);
  assert.equal((await found(violation)).__typename, "Violation");
});

test("a sign-in is a mutation with an input object", async () => {
  const ada = await register();
  const input = { identity: { email: ada.email }, password };
  const { login } = await commit(environment(), await artifact("StandingLoginMutation"), { input });
  assert.equal(login.account.id, ada.id);
});

test("usage is told as it changes", async () => {
  const ada = await register();
  const subscription = await artifact("UsageSubscription");
  const meter = newMeter();
  const told = new Promise((resolve, reject) => {
    const onNext = ({ usage }) => {
      if (usage.ram.megabytesUsed === 6) resolve(usage);
      else meter(ada.id, 6).catch(reject);
    };
    requestSubscription(environment(ada.access), { subscription, variables: {}, onNext, onError: reject });
  });
  assert.equal((await inTime(told)).ram.megabytesUsed, 6);
});

test("a violation that is raised is told to its account", async () => {
  const ada = await register();
  const subscription = await artifact("UsageEventsSubscription");
  const at = environment(ada.access);
  const told = new Promise((resolve, reject) => {
    const onNext = ({ accountEvents }) => accountEvents.__typename === "ViolationRaised" && resolve(accountEvents);
    requestSubscription(at, { subscription, variables: {}, onNext, onError: reject });
  });
  // Events begin where the subscription does: the first complaints may be before it.
  const complaining = setInterval(() => complain(ada.id, 1).catch(() => {}), 100);
  const { violation } = await inTime(told).finally(() => clearInterval(complaining));
  assert.equal(typeof violation.id, "string");
});
