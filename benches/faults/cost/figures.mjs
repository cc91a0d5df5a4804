// What programs spend: processor time by the kernel, bytes and messages by NATS, rows and log by PostgreSQL.
import { execFileSync, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { childrenOf } from "../engines.mjs";

const TICK = 1_000 / Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));

/** Milliseconds of processor time, user's and system's; with those of ended children that were waited for. */
function cpu(pid, { hasEnded = false } = {}) {
  let stat;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return 0;
  }
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const ticks = fields.slice(11, hasEnded ? 15 : 13).reduce((sum, text) => sum + Number(text), 0);
  return ticks * TICK;
}

/** Of all processes of a PostgreSQL, also of those that have ended. */
const cpuOfPostgres = (pid) => childrenOf(pid).reduce((sum, child) => sum + cpu(child), cpu(pid, { hasEnded: true }));

/** Resident bytes. */
export function resident(pid) {
  const line = readFileSync(`/proc/${pid}/status`, "utf8").match(/^VmRSS:\s+(\d+) kB/m);
  return Number(line[1]) * 1_024;
}

/** @returns {Promise<{ messages: number, inBytes: number, outBytes: number }>} since it was started */
async function bus(nats) {
  const answer = await fetch(`http://127.0.0.1:${nats.monitoring}/varz`);
  const { in_msgs: messages, in_bytes: inBytes, out_bytes: outBytes } = await answer.json();
  return { messages, inBytes, outBytes };
}

/** Reports that JetStream holds. */
export async function logged(nats) {
  return (await (await fetch(`http://127.0.0.1:${nats.monitoring}/jsz`)).json()).messages ?? 0;
}

/** One connection to PostgreSQL, by psql, so that asking costs a statement and no start of a program. */
export class Sql {
  #lines = [];
  #waiting;

  constructor(url) {
    this.child = spawn("psql", ["-XAtq", "-v", "ON_ERROR_STOP=1", url], { stdio: ["pipe", "pipe", "inherit"] });
    createInterface({ input: this.child.stdout }).on("line", (line) => {
      if (line !== "--end--") this.#lines.push(line);
      else this.#waiting(this.#lines.splice(0));
    });
  }

  /** Gives the lines of the answer, columns divided by `|`; one question at a time. */
  rows(text) {
    const answer = new Promise((resolve) => (this.#waiting = resolve));
    this.child.stdin.write(`${text};\n\\echo --end--\n`);
    return answer;
  }

  async numbers(text) {
    return (await this.rows(text))[0].split("|").map(Number);
  }

  /** Rows written and transactions committed, as far as connections have told of them: all, once they have ended. */
  async written() {
    const [rows, hot, commits] = await this.numbers(
      `SELECT sum(n_tup_ins + n_tup_upd + n_tup_del), sum(n_tup_hot_upd),
       (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()) FROM pg_stat_user_tables`,
    );
    return { rows, hot, commits };
  }

  async wal() {
    return (await this.numbers("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))[0];
  }

  close() {
    this.child.stdin.end();
  }
}

/**
 * Everything that is spent at an instant; two of them differ by what was spent between.
 * @param {import("./place.mjs").Place} place
 */
export async function spent(place) {
  const [wal, { messages, inBytes, outBytes }] = await Promise.all([place.sql.wal(), bus(place.nats)]);
  return {
    at: performance.now(),
    servers: place.replicas.reduce((sum, { pid }) => sum + cpu(pid), 0),
    postgres: cpuOfPostgres(place.postgres.pid),
    nats: cpu(place.nats.pid),
    wal,
    messages,
    inBytes,
    outBytes,
  };
}

export const difference = (after, before) =>
  Object.fromEntries(Object.entries(after).map(([name, value]) => [name, value - before[name]]));
