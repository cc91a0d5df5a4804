import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { Refusal, words } from "../api/refusal";
import { post } from "../api/transport";
import { graphql, type DataClass, type StoredDataQuery } from "../gql";
import { Card, Refused, Waiting } from "../ui/parts";

const StoredDocument = graphql(`
  query StoredData {
    service {
      name
      version
      storedData { table column class purpose retention }
    }
  }
`);

type Field = StoredDataQuery["service"]["storedData"][number];

const CLASSES: Record<DataClass, string> = {
  PSEUDONYM: "stands for an account, and leads to nobody without the server's key",
  SECRET_DIGEST: "a digest of a secret, from which the secret cannot be had",
  STATUS: "what an account may do, and since when",
  METRIC: "a figure of usage",
  FLAG: "a finding about an account's conduct",
  TECHNICAL: "serves the storing itself",
};

/** Every column that the server stores, told by the server itself. Open to everybody. */
export function StoredData() {
  const fields = useSignal<readonly Field[] | null>(null);
  const refusal = useSignal<Refusal | null>(null);
  useEffect(() => {
    post(StoredDocument, {}, null)
      .then(({ service }) => (fields.value = service.storedData))
      .catch((error: unknown) => {
        if (!(error instanceof Refusal)) throw error;
        refusal.value = error;
      });
  }, []);
  return (
    <>
      <h1 tabIndex={-1}>What this server stores</h1>
      <p class="lead">
        All of it: every column of its database, why it is there, and for how long. There is no address, no name, no
        content and no log of who asked for what.
      </p>
      <Facts />
      <Refused refusal={refusal.value} />
      {fields.value === null && refusal.value === null && <Waiting lines={10} />}
      {byTable(fields.value ?? []).map(([table, columns]) => (
        <Card key={table} title={words(table)} aside={<span class="quiet">{columns.length} columns</span>}>
          <div class="scrolled" tabIndex={0} role="group" aria-label={words(table)}>
            <table class="stored">
              <thead>
                <tr>
                  <th scope="col">Column</th>
                  <th scope="col">Kind</th>
                  <th scope="col">What for</th>
                  <th scope="col">How long</th>
                </tr>
              </thead>
              <tbody>
                {columns.map((field) => (
                  <tr key={field.column}>
                    <th scope="row">
                      <code>{field.column}</code>
                    </th>
                    <td>{words(field.class)}</td>
                    <td>{field.purpose}</td>
                    <td>{field.retention}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </Card>
      ))}
    </>
  );
}

function Facts() {
  return (
    <dl class="facts">
      {Object.entries(CLASSES).map(([name, meaning]) => (
        <div key={name}>
          <dt>{words(name)}</dt>
          <dd>{meaning}</dd>
        </div>
      ))}
    </dl>
  );
}

function byTable(fields: readonly Field[]): [string, Field[]][] {
  const tables = new Map<string, Field[]>();
  for (const field of fields) tables.set(field.table, [...(tables.get(field.table) ?? []), field]);
  return [...tables];
}
