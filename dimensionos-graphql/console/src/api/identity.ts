import type { IdentityInput } from "../gql";

/** How somebody is known here. */
export type Way = "email" | "digest" | "number";

/**
 * The digest of an address, made in the page, so that the address never leaves it: trimmed, Unicode NFC, lower case,
 * the domain in ASCII. Null where the text is no address.
 */
export async function digestOf(address: string): Promise<string | null> {
  const folded = address.trim().normalize("NFC").toLowerCase().normalize("NFC");
  const at = folded.lastIndexOf("@");
  const domain = at > 0 ? asciiDomain(folded.slice(at + 1)) : null;
  if (!domain || /[\s@\p{Cc}]/u.test(folded.slice(0, at))) return null;
  const bytes = new TextEncoder().encode(`${folded.slice(0, at)}@${domain}`);
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** As the browser itself writes it when it looks a host up. */
function asciiDomain(domain: string): string | null {
  if (/[\s/?#:@[\]\\%]/u.test(domain)) return null;
  try {
    const host = new URL(`http://${domain}/`).hostname;
    // A name that is nothing but a number becomes an address of the network there.
    return /^[\d.]+$/.test(host) && host !== domain ? null : host;
  } catch {
    return null;
  }
}

/** What was typed, as the server takes it; null where it is no address. */
export async function identityOf(way: Way, text: string): Promise<IdentityInput | null> {
  if (way === "email") return { email: text };
  if (way === "number") return { accountNumber: text };
  const digest = await digestOf(text);
  return digest ? { emailDigest: digest } : null;
}
