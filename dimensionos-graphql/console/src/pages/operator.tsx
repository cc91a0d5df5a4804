export default function OperatorPages() {
  return <h1 tabIndex={-1}>Accounts</h1>;
}
