// Sources that report at a steady pace, and watchers over server-sent events, made to cost little themselves.
import http from "node:http";
import { sleep } from "../time.mjs";

const REPORT = "mutation($input: UsageReportInput!) { reportUsage(input: $input) { sequence duplicate } }";
const WATCH = "subscription { usage(intervalMs: 100) { storage { fileCount } } }";

const connections = new http.Agent({ keepAlive: true, maxSockets: 256 });

function request(replica, token, body, accept) {
  const headers = { "content-type": "application/json", accept, authorization: `Bearer ${token}` };
  headers["content-length"] = Buffer.byteLength(body);
  const agent = accept === "application/json" ? connections : new http.Agent();
  return new Promise((resolve, reject) => {
    const sent = http.request(`${replica.url}/graphql`, { method: "POST", headers, agent }, resolve);
    sent.once("error", reject);
    sent.end(body);
  });
}

/** Reports once; throws where it is refused. */
async function report(replica, token, input) {
  const body = JSON.stringify({ query: REPORT, variables: { input } });
  const response = await request(replica, token, body, "application/json");
  let text = "";
  for await (const part of response.setEncoding("utf8")) text += part;
  if (!text.includes(`"sequence":${input.sequence}`)) throw new Error(`a report was refused: ${text.slice(0, 300)}`);
}

/** Sources of one agent, each with a sequence of its own that goes on from variant to variant. */
export class Sources {
  #sources;

  constructor(place, name, count) {
    this.place = place;
    this.#sources = Array.from({ length: count }, (_, number) => ({ name: `${name}-${number}`, sequence: 0 }));
  }

  /** One report by the first source; no other may be under way. */
  async once(replica, samples) {
    const source = this.#sources[0];
    source.sequence += 1;
    await report(replica, this.place.agent, { source: source.name, sequence: source.sequence, samples });
  }

  /** Reports all of that, so many samples at once, all sources at the same time as fast as they are answered. */
  async all(replica, samples, atOnce) {
    let next = 0;
    const one = async (source) => {
      while (next < samples.length) {
        const given = samples.slice(next, (next += atOnce));
        source.sequence += 1;
        await report(replica, this.place.agent, { source: source.name, sequence: source.sequence, samples: given });
      }
    };
    await Promise.all(this.#sources.map(one));
  }

  /**
   * Reports so often a second until it is stopped, all sources in turns; a source that is late goes on at once.
   * @param {(number: number) => object[]} samples of the n-th report
   * @param {() => import("../replica.mjs").Replica} replica
   */
  begin(perSecond, samples, replica) {
    const run = { reports: 0, samples: 0, times: [], isOver: false };
    const begin = performance.now();
    let number = 0;
    const one = async (source, index) => {
      const period = (1_000 * this.#sources.length) / perSecond;
      for (let due = begin + (period * index) / this.#sources.length; !run.isOver; due += period) {
        const early = due - performance.now();
        if (early > 1) await sleep(early);
        if (run.isOver) return;
        const given = samples((number += 1));
        source.sequence += 1;
        const sent = performance.now();
        await report(replica(), this.place.agent, { source: source.name, sequence: source.sequence, samples: given });
        run.times.push(performance.now() - sent);
        run.reports += 1;
        run.samples += given.length;
      }
    };
    const tasks = this.#sources.map(one);
    run.stop = async () => {
      run.isOver = true;
      await Promise.all(tasks);
    };
    return run;
  }
}

/** One subscription for each account, on one replica. */
export class Watchers {
  /** Values that came, the first of each among them. */
  events = 0;
  #responses = [];

  static async open(replica, accounts) {
    const watchers = new Watchers();
    const one = async ({ token }) => {
      const response = await request(replica, token, JSON.stringify({ query: WATCH }), "text/event-stream");
      watchers.#responses.push(response);
      let unread = "";
      response.setEncoding("utf8").on("data", (text) => {
        const events = (unread + text).split("\n\n");
        unread = events.pop();
        for (const event of events) if (event.includes('"usage":{')) watchers.events += 1;
      });
      response.on("error", () => {});
    };
    for (let first = 0; first < accounts.length; first += 50) {
      await Promise.all(accounts.slice(first, first + 50).map(one));
    }
    return watchers;
  }

  close() {
    for (const response of this.#responses) response.destroy();
  }
}
