import { route } from "../route";
import { AccountPage } from "./operator/account";
import { Accounts } from "./operator/accounts";
import { Agents } from "./operator/agents";
import { Appeals } from "./operator/appeals";
import { Complaints } from "./operator/complaints";
import { Jobs } from "./operator/jobs";
import { Policy } from "./operator/policy";
import { StoredData } from "./stored";
import "./operator/operator.css";

const ACCOUNT = "operator/account/";

/** What operators see: how accounts stand and what was found, and nothing of who anybody is. */
export default function OperatorPages() {
  const here = route.value;
  if (here.startsWith(ACCOUNT)) {
    const id = here.slice(ACCOUNT.length);
    return <AccountPage key={id} id={id} />;
  }
  switch (here) {
    case "operator/agents":
      return <Agents />;
    case "operator/appeals":
      return <Appeals />;
    case "operator/complaints":
      return <Complaints />;
    case "operator/policy":
      return <Policy />;
    case "operator/jobs":
      return <Jobs />;
    case "stored":
      return <StoredData />;
    default:
      return <Accounts />;
  }
}
