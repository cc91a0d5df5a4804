// A page's session: the access token in memory, the refresh token in a cookie that no script can read.
import { Client, cacheExchange, fetchExchange, subscriptionExchange } from "@urql/core";
import { authExchange } from "@urql/exchange-auth";
import { createClient } from "graphql-ws";

const SESSION = { "x-dimensionos-session": "cookie" };
const REFUSED = ["UNAUTHENTICATED", "TOKEN_EXPIRED", "TOKEN_INVALID"];
const REFRESH = JSON.stringify({ query: `mutation { refresh(refreshToken: "") { tokens { accessToken } } }` });

/** What a page asks with. `signedIn` takes the access token that register, login and their like give. */
export function connect(url: string) {
  let access: string | undefined;
  const bearer = (): Record<string, string> => (access ? { authorization: `Bearer ${access}` } : {});
  // A page that has just been loaded has the cookie alone: this is also how it signs in again.
  async function refresh() {
    const headers = { "content-type": "application/json", ...SESSION };
    const answer = await fetch(url, { method: "POST", credentials: "include", headers, body: REFRESH });
    access = (await answer.json()).data?.refresh.tokens.accessToken;
  }
  const auth = authExchange(async ({ appendHeaders }) => ({
    addAuthToOperation: (operation) => appendHeaders(operation, bearer()),
    didAuthError: (error) => error.graphQLErrors.some(({ extensions }) => REFUSED.includes(String(extensions.code))),
    refreshAuth: refresh,
  }));
  let isRefused = false;
  const socket = createClient({
    url: url.replace(/^http/, "ws"),
    connectionParams: async () => (isRefused || !access ? refresh().then(bearer) : bearer()),
    on: { closed: (event) => { isRefused = (event as CloseEvent).code === 4403; } },
  });
  const subscriptions = subscriptionExchange({
    forwardSubscription: ({ query = "", variables }) => ({
      subscribe: (sink) => ({ unsubscribe: socket.subscribe({ query, variables }, sink) }),
    }),
  });
  const fetchOptions: RequestInit = { credentials: "include", headers: SESSION };
  const exchanges = [cacheExchange, auth, fetchExchange, subscriptions];
  const client = new Client({ url, fetchOptions, preferGetMethod: false, exchanges });
  return { client, signedIn: (token?: string) => { access = token; } };
}
