import { route } from "../route";
import { Accounts } from "./operator/accounts";
import { Agents } from "./operator/agents";
import { Jobs } from "./operator/jobs";
import { StoredData } from "./stored";
import "./operator/operator.css";

/** What operators see: how accounts stand and what was found, and nothing of who anybody is. */
export default function OperatorPages() {
  const here = route.value;
  switch (here) {
    case "operator/agents":
      return <Agents />;
    case "operator/jobs":
      return <Jobs />;
    case "stored":
      return <StoredData />;
    default:
      return <Accounts />;
  }
}
