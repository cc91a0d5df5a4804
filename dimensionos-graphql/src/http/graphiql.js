// Runs one operation at a time over server-sent events: a query answers once, a subscription until it is stopped.
const element = (id) => document.getElementById(id);
let running = null;

async function run() {
  running?.abort();
  const abort = (running = new AbortController());
  element("stop").disabled = false;
  try {
    const variables = element("variables").value.trim();
    const token = element("token").value.trim();
    const response = await fetch("/graphql", {
      method: "POST",
      signal: abort.signal,
      headers: {
        "content-type": "application/json",
        accept: "text/event-stream",
        ...(token && { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify({ query: element("query").value, ...(variables && { variables: JSON.parse(variables) }) }),
    });
    await show(response);
  } catch (error) {
    if (!abort.signal.aborted) element("answer").textContent = String(error);
  } finally {
    if (running === abort) element("stop").disabled = true;
  }
}

async function show(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffered = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    buffered += value;
    const events = buffered.split("\n\n");
    buffered = events.pop();
    for (const event of events) {
      const data = event.split("\n").find((line) => line.startsWith("data: "));
      if (data) element("answer").textContent = JSON.stringify(JSON.parse(data.slice(6)), null, 2);
    }
  }
  if (buffered.trim()) element("answer").textContent = buffered;
}

element("form").addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
element("stop").addEventListener("click", () => running?.abort());
element("query").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run();
});
