import { digestOfFile } from "../api/paper";
import { Refusal } from "../api/refusal";
import { ask } from "../api/session";
import { graphql } from "../gql";
import { useAction } from "../ui/action";
import { FileField } from "../ui/inputs";
import { Form } from "../ui/parts";

const FileCounterNotice = graphql(`
  mutation FileCounterNotice($violation: ID!, $noticeDigest: String!) {
    fileCounterNotice(violation: $violation, noticeDigest: $noticeDigest) { id }
  }
`);

/** Answers a complaint of copyright. The paper goes to whoever runs the service; here its digest is enough. */
export function CounterNotice({ id, changed }: { id: string; changed: () => Promise<void> }) {
  const action = useAction(async (_, form: FormData) => {
    const paper = form.get("paper");
    if (!(paper instanceof File)) throw new Refusal("INVALID_INPUT", "no file was chosen", { field: "paper" });
    await ask(FileCounterNotice, { violation: id, noticeDigest: await digestOfFile(paper) });
    await changed();
  });
  return (
    <details>
      <summary>Serve a counter-notice</summary>
      <Form action={action} verb="Serve it">
        <FileField
          label="The counter-notice"
          name="paper"
          hint="Its SHA-256 is made here and the file goes nowhere. Send the paper itself to whoever runs this service."
        />
      </Form>
    </details>
  );
}
