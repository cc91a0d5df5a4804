// The schema, held against the rules of others and of our own.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { ESLint } from "eslint";
import { buildSchema, isInputObjectType, isObjectType } from "graphql";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const file = here("../../dimensionos-graphql/schema.graphql");
const sdl = readFileSync(file, "utf8");
const schema = buildSchema(sdl);
const types = Object.values(schema.getTypeMap()).filter((type) => !type.name.startsWith("__"));
const eslint = new ESLint({ cwd: here("../.."), overrideConfigFile: here("eslint.config.mjs") });

async function findings(text) {
  const [{ messages }] = await eslint.lintText(text, { filePath: file });
  return messages.map(({ ruleId, line, message }) => `${line}: ${message} (${ruleId})`);
}

test("no rule finds a fault", async () => assert.deepEqual(await findings(sdl), []));

test("the rules find faults that are planted", async () => {
  const faults = {
    "naming-convention": [/\btier: TierName!/, "Tier: TierName!"],
    "require-description": [/"""\n\tWhat it is allotted by\.\n\t"""\n/, ""],
    "relay-page-info": [/\thasPreviousPage: Boolean!/, "\thasPreviousPage: Boolean"],
  };
  for (const [rule, [sound, faulty]] of Object.entries(faults)) {
    const planted = sdl.replace(sound, faulty);
    assert.notEqual(planted, sdl, rule);
    assert((await findings(planted)).some((finding) => finding.includes(rule)), rule);
  }
});

test("every argument and every field of an input is described", () => {
  const inputs = types.filter(isInputObjectType).flatMap((type) => Object.values(type.getFields()));
  const fields = types.filter(isObjectType).flatMap((type) => Object.values(type.getFields()));
  const silent = [...inputs, ...fields.flatMap(({ args }) => args)].filter(({ description }) => !description?.trim());
  assert.deepEqual(silent.map(({ name }) => name), []);
});

test("what has an id is a Node, but for keys that are shown once", () => {
  const named = types.filter((type) => isObjectType(type) && String(type.getFields().id?.type) === "ID!");
  const others = named.filter((type) => !type.getInterfaces().some(({ name }) => name === "Node"));
  assert.deepEqual(others.map(({ name }) => name), ["AgentCredential"]);
});

test("a reading that nobody may have reported can be null", () => {
  const used = /Used$|^percent$/;
  const readings = types.filter(({ name }) => /Metrics$/.test(name)).flatMap((type) => Object.values(type.getFields()));
  const certain = readings.filter(({ name, type }) => used.test(name) && String(type).endsWith("!"));
  assert.deepEqual(certain.map(({ name }) => name), []);
});
