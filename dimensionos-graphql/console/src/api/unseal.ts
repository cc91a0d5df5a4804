/** What came of opening a sealed text: the text, or why it stays closed, in words. */
export type Unsealed = { text: string } | { closed: string };

/** What an age identity begins with. Its holder has it; this page forgets it when it is left. */
const IDENTITY = "AGE-SECRET-KEY-";

/** The identity in what was pasted, which may be the whole file that `age-keygen` wrote; null where there is none. */
export async function identityIn(pasted: string): Promise<string | null> {
  // Either all in capitals or all in small letters; what opens takes the former.
  const identity = pasted.toUpperCase().split(/\s+/).find((word) => word.startsWith(IDENTITY));
  if (identity === undefined) return null;
  const { identityToRecipient } = await import("age-encryption");
  try {
    await identityToRecipient(identity);
    return identity;
  } catch {
    return null;
  }
}

/** Opens a statement in this page. What does that is fetched when it is needed. */
export async function unseal(sealed: string, identity: string): Promise<Unsealed> {
  const { armor, Decrypter } = await import("age-encryption");
  const decrypter = new Decrypter();
  decrypter.addIdentity(identity);
  let file: Uint8Array;
  try {
    file = armor.decode(sealed);
  } catch {
    return { closed: "It is damaged: it is no sealed file any more." };
  }
  try {
    return { text: await decrypter.decrypt(file, "text") };
  } catch (error) {
    const isOthers = error instanceof Error && error.message.startsWith("no identity matched");
    return {
      closed: isOthers
        ? "This key does not open it: it was sealed to another. An older key of the operators may."
        : "It cannot be opened: what is in it is damaged.",
    };
  }
}
