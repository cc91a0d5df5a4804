/** What stands for the console where browsers keep its tools from it. */
export function Insecure() {
  return (
    <main>
      <h1>This page needs HTTPS</h1>
      <p class="lead">
        It came over plain HTTP from another machine. Browsers then offer neither what it makes digests with nor a place
        for its session. Put a proxy with a certificate in front of this server, or open it on its own machine as{" "}
        <code>http://localhost:{location.port}</code>.
      </p>
    </main>
  );
}
