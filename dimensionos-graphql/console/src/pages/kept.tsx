import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { whenHolderChanges } from "../api/session";
import { Card, Copy } from "../ui/parts";

/** What is shown this once. */
export interface ShownOnce {
  /** The account they are of; null before its first sign-in. */
  whose: string | null;
  accountNumber: string | null;
  recoveryCodes: readonly string[];
  goOn: () => void;
}

export const kept = signal<ShownOnce | null>(null);

// They are nobody else's to see, and are not left on the page when their holder has gone.
whenHolderChanges(() => (kept.value = null));

/** The account number and the recovery codes, to copy or to print. */
export function Kept() {
  const shown = kept.value;
  useEffect(() => {
    // They would be gone for good.
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    addEventListener("beforeunload", ask);
    return () => removeEventListener("beforeunload", ask);
  }, []);
  if (!shown) return null;
  const { accountNumber, recoveryCodes, goOn } = shown;
  const everything = [...(accountNumber ? [`Account number: ${accountNumber}`, ""] : []), ...recoveryCodes].join("\n");
  const done = () => {
    kept.value = null;
    goOn();
  };
  return (
    <div class="kept">
      <h1 tabIndex={-1}>Keep this. It is shown this once.</h1>
      <p>
        There is no address to send anything to. {accountNumber && "You sign in with the account number. "}
        When the password is lost, each code opens the account once.
      </p>
      {accountNumber && (
        <Card title="Account number">
          <p class="secret">{accountNumber}</p>
        </Card>
      )}
      <Card title="Recovery codes">
        <ol class="codes">
          {recoveryCodes.map((code) => (
            <li key={code}>
              <code>{code}</code>
            </li>
          ))}
        </ol>
      </Card>
      <div class="row not-printed">
        <Copy what={everything} label="Copy all" />
        <button type="button" onClick={() => print()}>
          Print
        </button>
        <button type="button" class="main" onClick={done}>
          I have kept them
        </button>
      </div>
    </div>
  );
}
