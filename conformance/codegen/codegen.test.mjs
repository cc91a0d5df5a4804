// GraphQL Code Generator: what it makes of the schema and of documents compiles, and says what the schema says.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { codegen } from "@graphql-codegen/core";
import * as typedDocuments from "@graphql-codegen/typed-document-node";
import * as types from "@graphql-codegen/typescript";
import * as operations from "@graphql-codegen/typescript-operations";
import { buildClientSchema, buildSchema, getIntrospectionQuery } from "graphql";
import { lexicographicSortSchema, parse, printSchema } from "graphql";

import { address, granted } from "../server.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const sdl = readFileSync(here("../../dimensionos-graphql/schema.graphql"), "utf8");

test("the server shows the schema that is in the repository", async () => {
  const response = await fetch(`${address}/schema.graphql`);
  assert.equal(response.status, 200);
  assert.equal(await response.text(), sdl);
});

test("introspection tells the same schema, descriptions and all", async () => {
  const query = getIntrospectionQuery({ inputValueDeprecation: true, oneOf: true });
  const sorted = (schema) => printSchema(lexicographicSortSchema(schema));
  assert.equal(sorted(buildClientSchema(await granted(query))), sorted(buildSchema(sdl)));
});

const documents = { location: "documents.graphql", document: parse(readFileSync(here("documents.graphql"), "utf8")) };
const config = {
  strictScalars: true,
  scalars: { DateTime: "string", UInt53: "number" },
  enumsAsTypes: true,
  useTypeImports: true,
};

/** Writes what these plugins make, in their order. */
async function generate(filename, plugins) {
  const made = await codegen({
    filename,
    schema: parse(sdl),
    documents: [documents],
    plugins: Object.keys(plugins).map((name) => ({ [name]: {} })),
    pluginMap: plugins,
    config,
  });
  mkdirSync(here("../generated/codegen"), { recursive: true });
  writeFileSync(here(`../generated/codegen/${filename}`), made);
}

test("the generated types and what uses them pass the strict compiler", async () => {
  await generate("schema.ts", { types });
  await generate("operations.ts", { operations, typedDocuments });
  const told = ["--project", here("tsconfig.json")];
  const compiler = spawnSync(here("../node_modules/.bin/tsc"), told, { encoding: "utf8" });
  assert.equal(compiler.status, 0, compiler.stdout + compiler.stderr);
});
