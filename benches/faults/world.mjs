// What a run has: the two engines, three replicas with links of their own, and who works with them.
import { randomBytes } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { data } from "./client.mjs";
import { Nats, Postgres, freePort } from "./engines.mjs";
import { Ledger } from "./ledger.mjs";
import { Links } from "./proxy.mjs";
import { Replica } from "./replica.mjs";
import { until } from "./time.mjs";

const REPLICAS = 3;
const ACCOUNTS = 4;
const ROAMING = 9;
const PASSWORD = "violet harbour kestrel 41";
const REGISTER = `mutation($email: String!, $password: String!) {
  register(input: { identity: { email: $email }, password: $password }) { account { id } tokens { accessToken } }
}`;

export class World {
  folder = mkdtempSync(join(tmpdir(), "dimensionos-faults-"));
  links = new Links();
  ledger = new Ledger();
  /** @type {Replica[]} */
  replicas = [];
  sources = { roaming: [], pinned: [] };
  #registered = 0;

  /**
   * @param {object} options
   * @param {string} options.binary
   * @param {string} [options.other] with which replicas begin, where it is another version
   * @param {boolean} options.hasNats
   * @param {string[]} options.flags of `serve`
   * @param {string[]} [options.postgres] settings of PostgreSQL, NAME=VALUE each
   * @param {Record<string, string>} options.settings of every replica, in the environment
   */
  constructor(options) {
    this.options = options;
  }

  async start() {
    const { other, hasNats, flags } = this.options;
    const binary = other ?? this.options.binary;
    // PostgreSQL's user has to get to its folder.
    chmodSync(this.folder, 0o755);
    this.postgres = new Postgres(join(this.folder, "postgres"), await freePort(), this.options.postgres);
    await this.postgres.create();
    if (hasNats) {
      this.nats = new Nats(join(this.folder, "nats"), await freePort());
      await this.nats.start();
    }
    const keys = this.#keys();
    for (let index = 0; index < REPLICAS; index += 1) {
      const links = { postgres: await this.links.open(await freePort(), this.postgres.port) };
      if (this.nats) links.nats = await this.links.open(await freePort(), this.nats.port);
      const folder = join(this.folder, `replica-${index}`);
      const port = await freePort();
      const settings = { ...keys, ...this.#settings(port, folder, links), ...this.options.settings };
      this.replicas.push(new Replica({ index, binary, flags, folder, port, settings, links }));
      await this.replicas[index].start();
    }
    await this.#people();
  }

  /** The same for all replicas of a deployment. */
  #keys() {
    const names = ["PEPPER", "SIGNING_KEY", "TOMBSTONE_KEY", "VOUCHER_KEY"];
    return Object.fromEntries(names.map((name) => [`DIMENSIONOS_${name}`, randomBytes(32).toString("hex")]));
  }

  #settings(port, folder, links) {
    const settings = {
      ENV: "development",
      LISTEN: `127.0.0.1:${port}`,
      DATA_DIR: join(folder, "data"),
      DATABASE_URL: this.postgres.url(links.postgres.port),
      BCRYPT_COST: "10",
      // What is asked here is asked to see whether it is answered.
      CHARGE_API_CALLS: "false",
      SOURCE_RATE: "0",
    };
    if (this.nats) settings.NATS_URL = this.nats.url(links.nats.port);
    return Object.fromEntries(Object.entries(settings).map(([name, value]) => [`DIMENSIONOS_${name}`, value]));
  }

  async #people() {
    this.agent = this.replicas[0].print(["agent", "create", "--name", "faults"]);
    this.operator = this.replicas[0].print(["operator", "create", "--name", "faults"]);
    /** Whose live usage is followed, one account a replica; the number of a newest reading is its number of files. */
    this.watched = [];
    for (let index = 0; index < REPLICAS; index += 1) this.watched.push({ ...(await this.register()), files: 0 });
    /** Who is suspended again and again. */
    this.judged = await this.register();
    const accounts = [];
    for (let number = 0; number < ACCOUNTS; number += 1) accounts.push((await this.register()).id);
    for (let number = 0; number < ROAMING; number += 1) {
      this.sources.roaming.push(this.ledger.add(`roaming-${number}`, accounts[number % ACCOUNTS]));
    }
    for (const replica of this.replicas) {
      const source = this.ledger.add(`pinned-${replica.index}`, accounts[replica.index % ACCOUNTS]);
      this.sources.pinned.push({ source, replica });
    }
  }

  async register() {
    this.#registered += 1;
    const variables = { email: `account${this.#registered}@example.org`, password: PASSWORD };
    const { register } = await data(this.anyReplica(), undefined, REGISTER, variables);
    return { id: register.account.id, token: register.tokens.accessToken };
  }

  anyReplica() {
    return this.replicas[Math.floor(Math.random() * this.replicas.length)];
  }

  /** Which replica does the jobs; undefined while none does. */
  async holder(among = this.replicas) {
    const held = await Promise.all(among.map((replica) => replica.figure("job_lease_held")));
    return among[held.indexOf(1)];
  }

  /**
   * An engine is gone, and started again. Links are cut meanwhile: what would be refused by the machine where nobody
   * listens would otherwise be accepted by them.
   * @param {"postgres" | "nats"} name
   * @param {"stop" | "kill"} how
   * @param {() => Promise<void>} meanwhile
   */
  async without(name, how, meanwhile) {
    const links = this.replicas.map((replica) => replica.links[name]);
    await this[name][how]();
    for (const link of links) await link.set("cut");
    try {
      await meanwhile();
    } finally {
      await this[name].start();
      for (const link of links) await link.set("pass");
    }
  }

  /** Makes everything as it was at the start, whatever a case left behind. */
  async repair() {
    if (!this.postgres.isRunning) await this.postgres.start();
    if (this.nats && !this.nats.isRunning) await this.nats.start();
    for (const { links } of this.replicas) for (const link of Object.values(links)) await link.set("pass");
    for (const replica of this.replicas) {
      if (replica.isPaused) replica.goOn();
      await replica.kill();
    }
    for (const replica of this.replicas) await replica.start();
    const isUp = async () => (await Promise.all(this.replicas.map(isReady))).every(Boolean);
    if ((await until(isUp, 60_000)) === null) throw new Error("the replicas are not ready");
  }

  /** Stops everything, the engines as they are to be stopped, so that they leave nothing in shared memory either. */
  async close() {
    for (const replica of this.replicas) replica.endAtOnce();
    await Promise.all([this.postgres?.stop(), this.nats?.stop()]);
  }

  /** Ends what is still there and removes it; nothing is waited for: this is the script's last act. */
  remove({ keeps = false } = {}) {
    for (const replica of this.replicas) replica.endAtOnce();
    this.postgres?.endAtOnce();
    this.nats?.endAtOnce();
    this.links.close();
    if (keeps) console.error(`kept: ${this.folder}`);
    else rmSync(this.folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

async function isReady({ url }) {
  try {
    return (await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(2_000) })).ok;
  } catch {
    return false;
  }
}
