// Every rule of the plugin for schemas, less those that are answered here.
import { fileURLToPath } from "node:url";

import graphql from "@graphql-eslint/eslint-plugin";

const { configs, parser } = graphql;

const schema = fileURLToPath(new URL("../../dimensionos-graphql/schema.graphql", import.meta.url));

const off = "off";
const answered = {
  // A reading, an allocation or a page is a value of what holds it: with an id of its own, caches would mix one
  // account's with another's. That what has an identity is a Node is tested beside this file.
  "@graphql-eslint/strict-id-in-types": off,
  // Fields stand in the order in which they are read: what it is, what it may do, what it uses.
  "@graphql-eslint/alphabetize": off,
  // It is for schemas that are only read.
  "@graphql-eslint/no-root-type": off,
  // Names that have been released are never changed: an argument or two stand for themselves, more are one `input`.
  "@graphql-eslint/input-name": off,
  // A mutation gives what it changed, which caches know by its id; more is asked in a query.
  "@graphql-eslint/require-field-of-type-query-in-mutation-result": off,
  // Signing out or erasing leaves nothing that could be given. Refusals are errors, so the answer is true or none.
  "@graphql-eslint/no-scalar-result-type-on-mutation": off,
  // A refusal is an error with a code. Null beside it would tell clients nothing, and cost each a check; fields that
  // may fail alone are asked in two operations.
  "@graphql-eslint/require-nullable-result-in-root": off,
  // Lists that grow are paged forward, newest first. Nobody pages back from the end of a list that is purged there.
  "@graphql-eslint/relay-arguments": ["error", { includeBoth: false }],
  // Lists that cannot grow, such as the tiers or the resources, are lists; `nodes` beside `edges` is for who needs no
  // cursors.
  "@graphql-eslint/relay-edge-types": [
    "error",
    { withEdgeSuffix: true, shouldImplementNode: true, listTypeCanWrapOnlyEdgeType: false },
  ],
};

const demanded = {
  // More than the plugin asks: every field, input and value is described.
  "@graphql-eslint/require-description": [
    "error",
    {
      types: true,
      rootField: true,
      DirectiveDefinition: true,
      FieldDefinition: true,
      EnumValueDefinition: true,
    },
  ],
};

export default [
  {
    files: ["**/*.graphql"],
    languageOptions: { parser, parserOptions: { graphQLConfig: { schema } } },
    plugins: { "@graphql-eslint": graphql },
    linterOptions: { noInlineConfig: true },
    rules: {
      ...configs["flat/schema-recommended"].rules,
      ...configs["flat/schema-all"].rules,
      ...configs["flat/schema-relay"].rules,
      ...answered,
      ...demanded,
    },
  },
];
