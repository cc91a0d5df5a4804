import { bitsPerSecond, bytes, cores, count, figure, memory } from "../../format";
import type { Resource } from "../../gql";

/** How one resource is read, and how a limit on it is typed. */
interface Read {
  name: string;
  /** Of averages, peaks and limits. */
  level: (value: number) => string;
  /** Of sums; left out for what is a level. */
  sum?: (value: number) => string;
  /** The unit that a limit is typed in. */
  unit: string;
  /** How many of the server's units that is. */
  each: number;
}

const MEBIBYTE = 1_048_576;
const CORE_HOUR_MICROSECONDS = 3_600_000_000;
/** The server counts bytes, people bits. */
const MEGABIT_BYTES = 125_000;

const bits = (bytesPerSecond: number) => bitsPerSecond(bytesPerSecond * 8);
const bandwidth = { level: bits, sum: bytes, unit: "Mbit/s", each: MEGABIT_BYTES };
const hourly = { level: (value: number) => `${figure(value)} an hour`, sum: count, unit: "an hour", each: 1 };
const counted = { level: figure, each: 1 };

export const RESOURCES: Record<Resource, Read> = {
  CPU: {
    name: "Processor",
    level: (thousandths) => cores(thousandths / 1000),
    sum: (microseconds) => `${figure(microseconds / CORE_HOUR_MICROSECONDS)} core hours`,
    unit: "cores",
    each: 1000,
  },
  RAM: { name: "Memory", level: (value) => memory(value / MEBIBYTE), unit: "MB", each: MEBIBYTE },
  STORAGE: { name: "Storage", level: bytes, unit: "GB", each: 1e9 },
  FILES: { ...counted, name: "Files", unit: "files" },
  BYTES_SENT: { ...bandwidth, name: "Sent" },
  BYTES_RECEIVED: { ...bandwidth, name: "Received" },
  CONNECTIONS: { ...counted, name: "Connections", unit: "connections" },
  TABLES: { ...counted, name: "Database tables", unit: "tables" },
  RECORDS: { ...counted, name: "Database records", unit: "records" },
  DATABASE_QUERIES: {
    name: "Database queries",
    level: (value) => `${figure(value)}/s`,
    sum: count,
    unit: "a second",
    each: 1,
  },
  API_CALLS: { ...hourly, name: "API calls" },
  FILE_OPERATIONS: { ...hourly, name: "File operations" },
};
