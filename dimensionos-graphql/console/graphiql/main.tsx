import { createRoot } from "react-dom/client";

const root = document.getElementById("graphiql");
if (root) createRoot(root).render(<p>GraphiQL</p>);
