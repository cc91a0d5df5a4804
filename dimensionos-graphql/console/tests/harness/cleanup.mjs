import { after } from "node:test";

const left = new WeakMap();

/** Does something when the test has ended. What was begun last ends first. */
export function atEnd(t, action) {
  if (!left.has(t)) {
    left.set(t, []);
    t.after(() => inTurn(left.get(t)));
  }
  left.get(t).push(action);
}

const ofFile = [];
after(() => inTurn(ofFile));

/** Does something when all tests of the file have ended. */
export function atEndOfFile(action) {
  ofFile.push(action);
}

async function inTurn(actions) {
  const failures = [];
  while (actions.length > 0) {
    try {
      await actions.pop()();
    } catch (failure) {
      failures.push(failure);
    }
  }
  if (failures.length > 0) throw failures[0];
}
