import { defineConfig, type Plugin } from "vite";

import { writeTypes } from "./scripts/types.mjs";

// Where `npm run dev` finds a server.
const server = process.env.DIMENSIONOS_SERVER ?? "http://127.0.0.1:8000";

/** Writes the types of the console's operations anew when one of them has changed. */
function operations(): Plugin {
  return {
    name: "operations",
    apply: "serve",
    async configureServer({ watcher, config }) {
      await writeTypes();
      watcher.on("change", (file) => {
        if (!/\/src\/(?!gql\/).*\.tsx?$/.test(file)) return;
        writeTypes().catch((error: Error) => config.logger.error(error.message));
      });
    },
  };
}

// The server takes a socket only from a page of its own: by the proxy, the page is.
const proxied = { target: server, changeOrigin: true, headers: { origin: server } };

export default defineConfig({
  plugins: [operations()],
  server: {
    proxy: {
      "^/graphql$": { ...proxied, ws: true },
      "^/(health|metrics|development|\\.well-known|schema\\.graphql)": proxied,
    },
  },
  worker: { format: "es" },
  build: {
    target: "es2022",
    // Nothing may be inline, and a page loads nothing that it names in its own text: the policy allows files alone.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    // GraphiQL's editor is as large as this, and on a page of its own.
    chunkSizeWarningLimit: 4000,
    rolldownOptions: {
      input: ["index.html", "graphiql.html"],
      onwarn(warning, warn) {
        // React's libraries say "use client", for servers that render them: ours renders nothing.
        if (warning.code !== "MODULE_LEVEL_DIRECTIVE") warn(warning);
      },
    },
  },
});
