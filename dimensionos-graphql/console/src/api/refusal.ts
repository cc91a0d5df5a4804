import { moment } from "../format";

/** What the server answered in place of a result, or that it did not answer. */
export class Refusal extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly facts: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
  }

  /** Seconds to wait before another try is of use; null where waiting does not help. */
  get retryAfterSeconds(): number | null {
    const seconds = this.facts["retryAfterSeconds"];
    return typeof seconds === "number" ? seconds : null;
  }

  fact(name: string): string | null {
    const value = this.facts[name];
    return typeof value === "string" ? value : null;
  }
}

/** The code of a server that could not be reached: it has no word for that itself. */
export const UNREACHABLE = "UNREACHABLE";
/** The code of what was asked by one and answered when another was signed in. */
export const SUPERSEDED = "SUPERSEDED";

/** In words a person understands, with what to do. The code stands beside them, for whoever is asked for help. */
export function inWords(refusal: Refusal): string {
  const wait = refusal.retryAfterSeconds;
  switch (refusal.code) {
    case UNREACHABLE:
      return "The server cannot be reached. Nothing was lost; try again in a moment.";
    case SUPERSEDED:
      return "Somebody else is signed in by now, and nothing more was done.";
    case "UNAUTHENTICATED":
    case "TOKEN_INVALID":
    case "TOKEN_REUSED":
      return "You are signed out here. Sign in again.";
    case "TOKEN_EXPIRED":
      return "Your sign-in has run out. Sign in again.";
    case "FORBIDDEN":
      return "This is not allowed with what you signed in with.";
    case "NOT_FOUND":
      return "There is no such thing, or it is not yours to see.";
    case "INVALID_INPUT":
      return `That cannot be taken: ${refusal.message}.`;
    case "INVALID_CREDENTIALS":
      return "That does not open an account. Check both fields; nobody is told which one was wrong.";
    case "REAUTHENTICATION_REQUIRED":
      return "This asks for your password once more.";
    case "WEAK_PASSWORD":
      return `That password will not do: ${refusal.fact("hint") ?? "take a few unrelated words"}.`.replace("..", ".");
    case "IDENTITY_UNAVAILABLE":
      return "No account can be opened with that. If it is yours, sign in or use a recovery code.";
    case "RATE_LIMITED":
      return `Too many tries. Wait ${duration(wait ?? 60)}, then try again.`;
    case "BUSY":
      return `The server is busy. Try again in ${duration(wait ?? 1)}.`;
    case "SERVICE_READ_ONLY":
      return "The account can only be read at present, so this cannot be changed.";
    case "SERVICE_SUSPENDED":
      return "The account is suspended. Its status, your data, payment and appeals are still open.";
    case "SERVICE_CANCELLED":
      return "The account is closed. It can be restored or erased.";
    case "TERMS_NOT_ACCEPTED":
    case "TERMS_DUE":
      return "The terms of service have changed. Accept them first.";
    case "QUOTA_EXCEEDED":
      return `The limit for ${words(refusal.fact("resource") ?? "this")} is reached${until(refusal.fact("resetsAt"))}.`;
    case "PAYMENT_REQUIRED":
      return "That tier has to be paid for first: paste an attestation or a voucher under Payment.";
    case "ATTESTATION_INVALID":
      return `That is no valid proof of payment${refusal.fact("reason") ? `: ${refusal.fact("reason")}` : ""}.`;
    case "ATTESTATION_SPENT":
      return "That was used before. Each proof of payment counts once.";
    case "CONFLICT":
      return `That does not fit how things stand: ${refusal.message.replace(/^conflict: /, "")}.`;
    case "QUERY_TOO_COMPLEX":
      return "That asks for more at once than this server answers.";
    case "INTERNAL":
      return `The server failed. It has logged why, under ${refusal.fact("requestId") ?? "this request's id"}.`;
    default:
      return `${refusal.message}.`;
  }
}

/** `API_CALLS` as `API calls`. */
export function words(name: string): string {
  const text = name.toLowerCase().replaceAll("_", " ");
  return text.replace(/\b(api|cpu|ram|cancelled)\b/, (word) => (word === "cancelled" ? word : word.toUpperCase()));
}

function until(instant: string | null): string {
  return instant === null ? "" : `; there is more from ${moment(instant)} on`;
}

function duration(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  return seconds < 5400 ? `${Math.ceil(seconds / 60)} minutes` : `${Math.ceil(seconds / 3600)} hours`;
}
