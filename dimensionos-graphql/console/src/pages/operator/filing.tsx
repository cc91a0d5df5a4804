import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";

import { digestOfFile, digestOfName } from "../../api/paper";
import { Refusal } from "../../api/refusal";
import { ask } from "../../api/session";
import { type FoundFragment, graphql, type NoticeElement } from "../../gql";
import { useAction } from "../../ui/action";
import { FileField } from "../../ui/inputs";
import { Field, Form, text } from "../../ui/parts";

const FileComplaintDocument = graphql(`
  mutation FileComplaint($input: CopyrightComplaintInput!) {
    fileCopyrightComplaint(input: $input) { ...Found }
  }
`);

/** What a notice has to have, in words. */
export const NOTICE_ELEMENTS: Record<NoticeElement, string> = {
  SIGNATURE: "the signature of whoever may act for the owner",
  WORK: "which work it is about",
  MATERIAL: "what infringes it, and where that is",
  CONTACT: "how to reach whoever complains",
  GOOD_FAITH: "the belief in good faith that the use is not authorised",
  ACCURACY: "that the notice is accurate, under penalty of perjury",
};

/** Files a complaint: of the papers only digests leave the page. */
export function FileComplaint({ filed }: { filed: (found: FoundFragment) => void }) {
  const done = useSignal(false);
  const place = useRef<HTMLDetailsElement>(null);
  const action = useAction(async (_, form: FormData) => {
    done.value = false;
    const notice = form.get("notice");
    if (!(notice instanceof File) || notice.size === 0) throw new Refusal("INVALID_INPUT", "no notice was chosen");
    const complainant = text(form, "complainant").trim();
    const input = {
      account: text(form, "account").trim(),
      noticeDigest: await digestOfFile(notice),
      complainantDigest: complainant ? await digestOfName(complainant) : null,
      missing: form.getAll("missing") as NoticeElement[],
    };
    filed((await ask(FileComplaintDocument, { input })).fileCopyrightComplaint);
    done.value = true;
    place.current?.querySelector("form")?.reset();
  });
  return (
    <details class="card" ref={place}>
      <summary>File a complaint</summary>
      <p>
        A complete notice counts at once, and what follows from it falls on the account. An incomplete one waits until
        what it lacks has come.
      </p>
      <Form action={action} verb="File it">
        <Field label="Whose account" name="account" autocomplete="off" hint="Its id, which begins with acc_." />
        <FileField
          label="The notice as received"
          name="notice"
          hint="Its SHA-256 is made here in the page; the file goes nowhere. Keep it yourself."
        />
        <Field
          label="Who complains"
          name="complainant"
          autocomplete="off"
          required={false}
          hint="In any form that is the same each time. Its SHA-256 alone is sent, to know again who is often wrong."
        />
        <fieldset class="choice">
          <legend>What the notice lacks</legend>
          {Object.entries(NOTICE_ELEMENTS).map(([element, called]) => (
            <label key={element}>
              <input type="checkbox" name="missing" value={element} />
              {called.charAt(0).toUpperCase() + called.slice(1)}
            </label>
          ))}
        </fieldset>
      </Form>
      <p role="status">{done.value && "Filed. It is the first below."}</p>
    </details>
  );
}
