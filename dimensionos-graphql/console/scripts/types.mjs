// Types for the console's operations, by the schema: `npm run types` writes src/gql/.
//
// Whatever stands in graphql(`…`) under src/ is checked against the schema and becomes one signature of `graphql`, so that
// its result and its variables are typed. While the page runs an operation is its text and no more: no parser is shipped.
import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { codegen } from "@graphql-codegen/core";
import * as operations from "@graphql-codegen/typescript-operations";
import { Kind, parse, print, visit } from "graphql";

const here = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));
const source = here("../src");
const target = join(source, "gql");

const config = {
  strictScalars: true,
  scalars: { DateTime: "string", UInt53: "number", ID: "string" },
  namingConvention: "keep",
  skipTypename: true,
  immutableTypes: true,
  arrayInputCoercion: false,
  useTypeImports: true,
};

/** @typedef {{ file: string, text: string, definitions: import("graphql").DefinitionNode[] }} Document */

/** Every document of the console, in a fixed order. */
async function documents() {
  /** @type {Document[]} */
  const found = [];
  const files = await readdir(source, { recursive: true });
  for (const file of files.filter((name) => /\.tsx?$/.test(name) && !name.startsWith("gql")).sort()) {
    const code = await readFile(join(source, file), "utf8");
    // GraphQL has no backtick, so the next one ends the text.
    for (const [, text] of code.matchAll(/\bgraphql\(\s*`([^`]*)`/g)) {
      if (text === undefined) continue;
      if (text.includes("${")) throw new Error(`${file}: an operation is put together from parts; spread a fragment`);
      found.push({ file, text, definitions: [...parse(text).definitions] });
    }
  }
  return found;
}

/** @type {Record<string, string>} */
const SUFFIX = { query: "Query", mutation: "Mutation", subscription: "Subscription" };

/**
 * What `graphql` gives for a document: the type of its text.
 * @param {Document} document
 */
function signature({ file, text, definitions }) {
  const [first, ...others] = definitions;
  if (others.length > 0 || !first) throw new Error(`${file}: write one operation, or one fragment, in each graphql(…)`);
  const literal = `source: ${JSON.stringify(text)}`;
  if (first.kind === Kind.FRAGMENT_DEFINITION) {
    return `export function graphql(${literal}): Fragment<types.${first.name.value}Fragment>;`;
  }
  if (first.kind !== Kind.OPERATION_DEFINITION || !first.name) throw new Error(`${file}: an operation has no name`);
  const name = `types.${first.name.value}${SUFFIX[first.operation]}`;
  return `export function graphql(${literal}): Operation<${name}, ${name}Variables>;`;
}

/**
 * The texts that spread fragments, with those fragments in them.
 * @param {Document[]} documents
 */
function completed(documents) {
  const fragments = new Map(
    documents
      .flatMap(({ definitions }) => definitions)
      .filter((definition) => definition.kind === Kind.FRAGMENT_DEFINITION)
      .map((definition) => [definition.name.value, definition]),
  );
  /** @type {Record<string, string>} */
  const texts = {};
  for (const { text, definitions } of documents) {
    if (definitions[0]?.kind !== Kind.OPERATION_DEFINITION) continue;
    /** @type {Set<string>} */
    const spread = new Set();
    const collect = (/** @type {import("graphql").ASTNode} */ node) => {
      visit(node, {
        FragmentSpread({ name }) {
          const fragment = fragments.get(name.value);
          if (!fragment || spread.has(name.value)) return;
          spread.add(name.value);
          collect(fragment);
        },
      });
    };
    collect(definitions[0]);
    if (spread.size === 0) continue;
    const parts = [...spread].map((name) => fragments.get(name)).filter((fragment) => fragment !== undefined);
    texts[text] = text + parts.map(print).join("\n");
  }
  return texts;
}

/** Writes the types; fails with what is wrong with an operation. */
export async function writeTypes() {
  const schema = parse(await readFile(here("../../schema.graphql"), "utf8"));
  const found = await documents();
  const types = await codegen({
    filename: join(target, "types.ts"),
    schema,
    documents: found.map(({ file, text }) => ({ location: file, document: parse(text) })),
    plugins: [{ operations: {} }],
    pluginMap: { operations },
    config,
  });
  const index = [
    `import type * as types from "./types";`,
    `export type * from "./types";`,
    `declare const result: unique symbol;`,
    `declare const variables: unique symbol;`,
    `/** The text of an operation: a string that knows what is answered, and with which variables it is asked. */`,
    `export type Operation<Result, Variables> = string & { readonly [result]?: Result; readonly [variables]?: Variables };`,
    `/** A fragment, for operations to spread by its name. */`,
    `export type Fragment<Result> = string & { readonly [result]?: Result };`,
    `const texts: Readonly<Record<string, string>> = ${JSON.stringify(completed(found), null, 2)};`,
    ...new Set(found.map(signature)),
    // Where the console has no operation yet, there is a function all the same.
    ...(found.length === 0 ? [`export function graphql(source: never): never;`] : []),
    `export function graphql(source: string): string {`,
    `  return texts[source] ?? source;`,
    `}`,
  ];
  await mkdir(target, { recursive: true });
  await writeFile(join(target, "types.ts"), types);
  await writeFile(join(target, "index.ts"), `${index.join("\n")}\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await writeTypes();
