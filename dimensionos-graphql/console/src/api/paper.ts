/** SHA-256 of a file, made here: the file goes nowhere. */
export async function digestOfFile(file: File): Promise<string> {
  return hex(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
}

/** SHA-256 of a name that is the same each time, however it was typed. */
export async function digestOfName(name: string): Promise<string> {
  const folded = name.trim().normalize("NFC").toLowerCase().replace(/\s+/g, " ");
  return hex(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(folded)));
}

function hex(digest: ArrayBuffer): string {
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
