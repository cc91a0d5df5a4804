import { Refusal } from "./refusal";

interface Work {
  challenge: string;
  difficulty: number;
}

export interface Proof {
  challenge: string;
  solution: string;
}

/** Tries, and where too many wrong guesses came before, does the work that is asked for in place of waiting. */
export async function withProof<T>(attempt: (proof: Proof | null) => Promise<T>, working: () => void): Promise<T> {
  try {
    return await attempt(null);
  } catch (error) {
    const work = error instanceof Refusal && error.code === "RATE_LIMITED" && error.facts["proofOfWork"];
    if (!work) throw error;
    working();
    return attempt(await solve(work as Work));
  }
}

/** Digests that are computed before the page may draw again. */
const AT_ONCE = 512;

async function solve({ challenge, difficulty }: Work): Promise<Proof> {
  const encoder = new TextEncoder();
  for (let first = 0; ; first += AT_ONCE) {
    const tries = Array.from({ length: AT_ONCE }, async (_, index) => {
      const solution = String(first + index);
      const digest = await crypto.subtle.digest("SHA-256", encoder.encode(`${challenge}.${solution}`));
      return { solution, zeroBits: leadingZeroBits(new Uint8Array(digest)) };
    });
    const found = (await Promise.all(tries)).find((one) => one.zeroBits >= difficulty);
    if (found) return { challenge, solution: found.solution };
  }
}

function leadingZeroBits(bytes: Uint8Array): number {
  const first = bytes.findIndex((byte) => byte !== 0);
  return first < 0 ? bytes.length * 8 : first * 8 + Math.clz32(bytes[first] ?? 0) - 24;
}
