// Where costs are measured: one PostgreSQL and one NATS, accounts, and as many servers as a variant wants.
import { randomBytes } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { data } from "../client.mjs";
import { Nats, Postgres, freePort } from "../engines.mjs";
import { Replica } from "../replica.mjs";
import { sleep, until } from "../time.mjs";
import { Sql } from "./figures.mjs";

const PASSWORD = "violet harbour kestrel 41";
const REGISTER = `mutation($email: String!, $password: String!) {
  register(input: { identity: { email: $email }, password: $password }) { account { id } tokens { accessToken } }
}`;
const AT_ONCE = 8;
/** Crockford's base32, in which an id of 128 bits is written. */
const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";

export class Place {
  folder = mkdtempSync(join(tmpdir(), "dimensionos-cost-"));
  /** @type {Replica[]} */
  replicas = [];
  /** Who was registered, with a token each. */
  accounts = [];
  #keys = Object.fromEntries(
    ["PEPPER", "SIGNING_KEY", "TOMBSTONE_KEY", "VOUCHER_KEY"].map((name) => [name, randomBytes(32).toString("hex")]),
  );

  constructor(binary, settings = []) {
    Object.assign(this, { binary, settings });
  }

  async open() {
    // PostgreSQL's user has to get to its folder.
    chmodSync(this.folder, 0o755);
    this.postgres = new Postgres(join(this.folder, "postgres"), await freePort(), this.settings);
    await this.postgres.create();
    this.sql = new Sql(this.postgres.url());
    this.nats = new Nats(join(this.folder, "nats"), await freePort(), await freePort());
    await this.nats.start();
  }

  /** Starts so many servers, on one database. */
  async serve(count, { hasNats = false, settings = {} } = {}) {
    for (let index = 0; index < count; index += 1) {
      const folder = join(this.folder, `replica-${index}`);
      const port = await freePort();
      const own = {
        ...this.#keys,
        ENV: "development",
        LISTEN: `127.0.0.1:${port}`,
        DATA_DIR: join(folder, "data"),
        DATABASE_URL: this.postgres.url(),
        BCRYPT_COST: "10",
        CHARGE_API_CALLS: "false",
        SOURCE_RATE: "0",
        MAX_BODY_BYTES: String(1 << 20),
        ...(hasNats ? { NATS_URL: this.nats.url() } : {}),
        ...settings,
      };
      const named = Object.fromEntries(Object.entries(own).map(([name, value]) => [`DIMENSIONOS_${name}`, value]));
      const given = { index, binary: this.binary, flags: [], folder, port, links: {}, settings: named };
      this.replicas.push(new Replica(given));
      await this.replicas[index].start();
    }
    this.agent ??= this.replicas[0].print(["agent", "create", "--name", "cost"]);
  }

  /** Stops them, and waits until PostgreSQL has heard the last of them. */
  async rest() {
    await Promise.all(this.replicas.map((replica) => replica.stop()));
    this.last = this.replicas.at(-1);
    this.replicas = [];
    const isAlone = async () =>
      (await this.sql.numbers("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"))[0] === 1;
    if ((await until(isAlone, 10_000)) === null) throw new Error("connections stay open after their server");
    await sleep(200);
  }

  /** So many accounts whose holders are signed in. */
  async register(count) {
    const one = async () => {
      while (this.accounts.length + this.#underWay < count) {
        this.#underWay += 1;
        const email = `account${(this.#number += 1)}@example.org`;
        const { register } = await data(this.replicas[0], undefined, REGISTER, { email, password: PASSWORD });
        this.#underWay -= 1;
        this.accounts.push({ id: register.account.id, token: register.tokens.accessToken });
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, one));
  }
  #underWay = 0;
  #number = 0;

  /** So many accounts more, who cannot sign in: copies of one in the database, without hashing. Gives their ids. */
  async copyAccounts(count) {
    await this.sql.rows(
      `INSERT INTO accounts SELECT (jsonb_populate_record(a, jsonb_build_object('id', gen_random_uuid(),
       'anonymous_id', '\\x' || encode(sha256(n::text::bytea), 'hex')))).*
       FROM (SELECT a FROM accounts a LIMIT 1) one, generate_series(1, ${count}) n`,
    );
    const known = new Set(this.accounts.map(({ id }) => id));
    return (await this.sql.rows("SELECT id FROM accounts")).map(idOf).filter((id) => !known.has(id));
  }

  async close() {
    for (const replica of this.replicas) replica.endAtOnce();
    this.sql?.close();
    await Promise.all([this.postgres?.stop(), this.nats?.stop()]);
  }

  remove() {
    for (const replica of this.replicas) replica.endAtOnce();
    this.postgres?.endAtOnce();
    this.nats?.endAtOnce();
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

/** An id as clients know it, of one as PostgreSQL writes it. */
function idOf(uuid) {
  let rest = BigInt(`0x${uuid.replaceAll("-", "")}`);
  let text = "";
  for (let place = 0; place < 26; place += 1) {
    text = ALPHABET[Number(rest & 31n)] + text;
    rest >>= 5n;
  }
  return `acc_${text}`;
}

/** And the other way round. */
export function uuidOf(id) {
  let value = 0n;
  for (const digit of id.slice(4)) value = (value << 5n) | BigInt(ALPHABET.indexOf(digit));
  return value.toString(16).padStart(32, "0");
}
