import { render } from "preact";

import { graphql } from "./gql";

const SERVICE = graphql(`
  query Service {
    service {
      version
    }
  }
`);

const response = await fetch("/graphql", {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ query: SERVICE }),
});
const { data } = await response.json();
render(<h1>DimensionOS {data.service.version}</h1>, document.getElementById("app")!);
