// What tests of the pages are written with. See graphiql.test.mjs for how it reads.
//
//     const visit = await open(t, { path: "/", colorScheme: "dark" });
//     await visit.page.getByRole("button", { name: "Sign in" }).click();
//     await visit.axe();
//
// A visit fails its test at the end where the console said anything, the policy refused anything, or anything was asked
// of another host; `visit.quiet()` looks earlier, and `visit.expect(/…/)` names what may be said.
export { open } from "./harness/browser.mjs";
export { PASSWORD, serve, sharedServer } from "./harness/server.mjs";
