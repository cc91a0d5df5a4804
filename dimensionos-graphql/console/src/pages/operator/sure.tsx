import type { ComponentChildren } from "preact";

import type { Action } from "../../ui/action";
import { Dialog } from "../../ui/dialog";
import { Form } from "../../ui/parts";

interface SureProps {
  title: string;
  verb: string;
  action: Action<[FormData]>;
  close: () => void;
  /** What will happen. */
  children: ComponentChildren;
  isGrave?: boolean;
}

/** Asks once more, and says what will happen, before what others will feel is done. */
export function Sure({ title, verb, action, close, children, isGrave }: SureProps) {
  return (
    <Dialog title={title} close={close}>
      {children}
      <Form action={action} verb={verb} isGrave={isGrave ?? false} />
    </Dialog>
  );
}
