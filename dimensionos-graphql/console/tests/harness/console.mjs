// What somebody does on the console, as they would: by what is written on it.
import { PASSWORD } from "./server.mjs";

export async function heading({ page }, name) {
  await page.getByRole("heading", { level: 1, name, exact: true }).waitFor();
}

/** Every text that the page sends from now on. */
export function bodies({ page }) {
  const sent = [];
  page.on("request", (request) => sent.push(`${request.url()} ${request.postData() ?? ""}`));
  page.on("websocket", (socket) => socket.on("framesent", ({ payload }) => sent.push(String(payload))));
  return sent;
}

async function known({ page }, { way, who }) {
  if (way) await page.getByLabel(way, { exact: true }).check();
  await page.getByRole("textbox", { name: way === "An account number" ? "Account number" : "Address" }).fill(who);
}

export async function signIn(visit, { way, who, password = PASSWORD }) {
  await known(visit, { way, who });
  await visit.page.getByLabel("Password").fill(password);
  await visit.page.getByRole("button", { name: "Sign in" }).click();
}

/** Opens an account; its codes are on the page then. */
export async function signUp(visit, { way, who, isWithout = false }) {
  const { page } = visit;
  await page.getByRole("link", { name: "Sign up" }).click();
  if (isWithout) await page.getByLabel("Without any address").check();
  else await known(visit, { way, who });
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Open the account" }).click();
  await page.getByRole("heading", { name: "Keep this." }).waitFor();
}

export async function keepCodes({ page }) {
  await page.getByRole("button", { name: "I have kept them" }).click();
}

/** Signs a new account in on the page, and gives it. */
export async function asNewAccount(visit) {
  const account = await visit.server.register();
  await signIn(visit, { who: account.email });
  await heading(visit, "Now");
  return account;
}

export async function asOperator(visit) {
  await visit.page.goto(`${visit.server.address}/#/operator`);
  await visit.page.getByLabel("Operator token").fill(await visit.server.operator());
  await visit.page.getByRole("button", { name: "Open" }).click();
  await heading(visit, "Accounts");
}

/** Goes to one of the pages. */
export async function to(visit, name) {
  await visit.page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name }).click();
}
