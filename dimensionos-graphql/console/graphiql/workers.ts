// The editor's workers, as files of our own. Imported before anything of GraphiQL, which looks for them when it starts.
import EditorWorker from "monaco-editor/esm/vs/editor/editor.worker.js?worker";
import JsonWorker from "monaco-editor/esm/vs/language/json/json.worker.js?worker";
import GraphqlWorker from "monaco-graphql/esm/graphql.worker.js?worker";

const workers: Readonly<Record<string, new () => Worker>> = { graphql: GraphqlWorker, json: JsonWorker };

Object.assign(globalThis, {
  MonacoEnvironment: {
    getWorker: (_id: string, language: string) => new (workers[language] ?? EditorWorker)(),
  },
});
