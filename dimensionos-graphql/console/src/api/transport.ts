import type { Operation } from "../gql";
import { Refusal, UNREACHABLE } from "./refusal";

/** How long an answer may take: a password is hashed for a quarter of a second, and others wait before it. */
const PATIENCE_MS = 30_000;

interface Answer<R> {
  data?: R | null;
  errors?: { message: string; extensions?: Record<string, unknown> }[];
}

/** One operation over POST. The header asks that the refresh token travel in a cookie that no script can read. */
export async function post<R, V>(
  document: Operation<R, V>,
  variables: V,
  token: string | null,
): Promise<R> {
  let answer: Answer<R>;
  try {
    const response = await fetch("/graphql", {
      method: "POST",
      credentials: "same-origin",
      signal: AbortSignal.timeout(PATIENCE_MS),
      headers: {
        accept: "application/graphql-response+json",
        "content-type": "application/json",
        "x-dimensionos-session": "cookie",
        ...(token && { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify({ query: document, variables }),
    });
    answer = (await response.json()) as Answer<R>;
  } catch {
    throw new Refusal(UNREACHABLE, "no answer");
  }
  const error = answer.errors?.[0];
  if (error) {
    const { code, ...facts } = error.extensions ?? {};
    throw new Refusal(typeof code === "string" ? code : "INTERNAL", error.message, facts);
  }
  if (!answer.data) throw new Refusal(UNREACHABLE, "an answer without data");
  return answer.data;
}
