// The site can be read without this script. It sends requests to the server of the page, and shows the responses.
"use strict";

const served = location.protocol.startsWith("http");

// Returns what the browser lets a script see of a response: the status, some headers, the start of a text body.
async function request(target, { method = "GET", headers = {} } = {}) {
  const response = await fetch(target, { method, headers, cache: "no-store" });
  const lines = [`${response.status} ${response.statusText}`.trim()];
  if (response.redirected) lines.push(`(redirected to ${new URL(response.url).pathname})`);
  for (const [name, value] of response.headers) lines.push(`${name}: ${value}`);
  const body = method === "HEAD" ? "" : await response.text();
  if (body) lines.push("", body.length > 240 ? `${body.slice(0, 240)} …` : body);
  return { response, text: lines.join("\n") };
}

// Writes the address of this server into the commands, so that they can be pasted as they are.
function nameThisServer() {
  for (const place of document.querySelectorAll(".origin")) place.textContent = location.origin;
  for (const place of document.querySelectorAll(".host")) place.textContent = location.hostname;
  for (const place of document.querySelectorAll(".port")) place.textContent = location.port || "80";
}

// Sends the request that `data-path`, `data-method` and `data-headers` describe. "$etag" stands for the ETag of the file.
async function run(exchange, output) {
  const { path, method, headers = "{}" } = exchange.dataset;
  output.textContent = "…";
  try {
    const sent = JSON.parse(headers);
    for (const name in sent) {
      if (sent[name] !== "$etag") continue;
      sent[name] = (await request(path, { method: "HEAD" })).response.headers.get("etag") ?? "";
    }
    output.textContent = (await request(path, { method, headers: sent })).text;
  } catch (error) {
    output.textContent = `No response: ${error.message}`;
  }
}

function offerToRun(exchange) {
  const button = document.createElement("button");
  const output = document.createElement("output");
  button.type = "button";
  button.textContent = "Send it from here";
  button.addEventListener("click", () => {
    exchange.append(output);
    run(exchange, output);
  });
  exchange.append(button);
}

if (served) {
  nameThisServer();
  document.querySelectorAll("[data-path]").forEach(offerToRun);
  const own = document.querySelector("#own-response");
  if (own) request(location.pathname, { method: "HEAD" }).then(({ text }) => { own.textContent = text }, () => {});
}
