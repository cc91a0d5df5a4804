// What replicas are connected with, by the kernel's own list.
import { readFileSync, readdirSync, readlinkSync } from "node:fs";

const ESTABLISHED = "01";

/**
 * @param {import("./world.mjs").World} world
 * @returns {{ own: number, between: string[], elsewhere: string[] }} how many connections go from replicas to their own
 * links, which go from one replica to another, and which lead anywhere else (who calls a replica is not counted)
 */
export function connections(world) {
  const all = established();
  const replicas = world.replicas.map((replica) => {
    const inodes = socketsOf(replica.pid);
    const ports = Object.values(replica.links).map(({ port }) => port);
    return { replica, ports, sockets: all.filter(({ inode }) => inodes.has(inode)) };
  });
  const found = { own: 0, between: [], elsewhere: [] };
  for (const { replica, ports, sockets } of replicas) {
    for (const { local, remote } of sockets) {
      // The other end is a socket with the two ports the other way round.
      const isOthers = (one) =>
        one.replica !== replica && one.sockets.some((end) => end.local === remote && end.remote === local);
      const text = `${replica.name} ${local} – ${remote}`;
      if (ports.includes(remote)) found.own += 1;
      else if (replicas.some(isOthers)) found.between.push(text);
      else if (local !== replica.port) found.elsewhere.push(text);
    }
  }
  return found;
}

function established() {
  const lists = ["/proc/net/tcp", "/proc/net/tcp6"].flatMap((list) => readFileSync(list, "utf8").split("\n").slice(1));
  const fields = lists.map((line) => line.trim().split(/\s+/)).filter((line) => line[3] === ESTABLISHED);
  const port = (address) => parseInt(address.split(":")[1], 16);
  return fields.map((line) => ({ local: port(line[1]), remote: port(line[2]), inode: line[9] }));
}

function socketsOf(pid) {
  const folder = `/proc/${pid}/fd`;
  const targets = readdirSync(folder).map((name) => {
    try {
      return readlinkSync(`${folder}/${name}`);
    } catch {
      return "";
    }
  });
  return new Set(targets.map((target) => target.match(/^socket:\[(\d+)\]$/)?.[1]).filter(Boolean));
}
