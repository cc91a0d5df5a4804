/** What of a pair of tokens a script gets to see: the other one stays in its cookie. */
export interface Access {
  accessToken: string;
}

interface Claims {
  /** The account that it is of. */
  subject: string;
  lifetimeMs: number;
}

/** What an access token says of itself. The server made it and checks it; here it only tells one account from another. */
export function claimsOf(token: string): Claims {
  const part = token.split(".")[1] ?? "";
  const { sub, iat, exp } = JSON.parse(atob(part.replaceAll("-", "+").replaceAll("_", "/"))) as Record<string, unknown>;
  if (typeof sub !== "string" || typeof iat !== "number" || typeof exp !== "number") {
    throw new TypeError("an access token without its claims");
  }
  return { subject: sub, lifetimeMs: (exp - iat) * 1000 };
}
