// Nothing here is needed to read the site. It asks this very server, and shows the answers in place.
"use strict";

const served = location.protocol.startsWith("http");

// What the browser lets a script see of an answer: the status, the fields it keeps, the start of a text body.
async function ask(target, { method = "GET", headers = {} } = {}) {
  const answer = await fetch(target, { method, headers, cache: "no-store" });
  const lines = [`${answer.status} ${answer.statusText}`.trim()];
  if (answer.redirected) lines.push(`(followed to ${new URL(answer.url).pathname})`);
  for (const [name, value] of answer.headers) lines.push(`${name}: ${value}`);
  const body = method === "HEAD" ? "" : await answer.text();
  if (body) lines.push("", body.length > 240 ? `${body.slice(0, 240)} …` : body);
  return { answer, text: lines.join("\n") };
}

// The commands name the address this page came from, so that they can be pasted as they stand.
function nameThisServer() {
  for (const place of document.querySelectorAll(".origin")) place.textContent = location.origin;
  for (const place of document.querySelectorAll(".host")) place.textContent = location.hostname;
  for (const place of document.querySelectorAll(".port")) place.textContent = location.port || "80";
}

// `data-path` names the target; `data-method` and `data-headers` the rest. "$etag" stands for the file's own ETag.
async function run(exchange, output) {
  const { path, method, headers = "{}" } = exchange.dataset;
  output.textContent = "…";
  try {
    const fields = JSON.parse(headers);
    for (const name in fields) {
      if (fields[name] !== "$etag") continue;
      fields[name] = (await ask(path, { method: "HEAD" })).answer.headers.get("etag") ?? "";
    }
    output.textContent = (await ask(path, { method, headers: fields })).text;
  } catch (error) {
    output.textContent = `No answer: ${error.message}`;
  }
}

function offerToRun(exchange) {
  const button = document.createElement("button");
  const output = document.createElement("output");
  button.type = "button";
  button.textContent = "Ask from here";
  button.addEventListener("click", () => {
    exchange.append(output);
    run(exchange, output);
  });
  exchange.append(button);
}

if (served) {
  nameThisServer();
  document.querySelectorAll("[data-path]").forEach(offerToRun);
  const own = document.querySelector("#own-answer");
  if (own) ask(location.pathname, { method: "HEAD" }).then(({ text }) => { own.textContent = text }, () => {});
}
