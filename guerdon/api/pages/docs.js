"use strict";
// Renders /openapi.json. Builds elements, never HTML from text, and loads nothing from anywhere else.

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// Text with `code` in it, and blank lines between paragraphs; lines that start with * are a list.
function prose(text) {
  return text.split(/\n\n+/).map((block) => {
    const items = block.split("\n").filter((line) => line.startsWith("* "));
    if (items.length) return make("ul", {}, ...items.map((line) => make("li", {}, ...inline(line.slice(2)))));
    return make("p", {}, ...inline(block));
  });
}

function inline(text) {
  return text.split(/(`[^`]+`)/).map((part) =>
    part.startsWith("`") && part.length > 1 ? make("code", {}, part.slice(1, -1)) : part);
}

function json(value) {
  return make("pre", {}, JSON.stringify(value, null, 2));
}

function typeOf(schema, document_) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.anyOf) return schema.anyOf.map((one) => typeOf(one, document_)).join(" | ");
  if (schema.type === "array") return `${typeOf(schema.items || (schema.prefixItems || [])[0], document_)}[]`;
  return [].concat(schema.type || "any").join(" | ");
}

function fields(schema, document_) {
  const named = schema && schema.$ref ? document_.components.schemas[schema.$ref.split("/").pop()] : schema;
  if (!named || !named.properties) return null;
  const required = new Set(named.required || []);
  return make("div", {}, ...(named.description ? prose(named.description) : []), make("table", {}, make("tbody", {},
    ...Object.entries(named.properties).map(([name, property]) => make("tr", {},
      make("td", {}, make("code", required.has(name) ? { class: "required" } : {}, name)),
      make("td", {}, make("code", {}, typeOf(property, document_))),
      make("td", {}, ...inline(property.description || "")))))));
}

function curl(path, method, operation, example) {
  const parameters = Object.fromEntries((operation.parameters || []).map((one) => [one.name, one.example]));
  const filled = path.replace(/{(\w+)}/g, (_, name) => parameters[name] || `{${name}}`);
  const lines = [`curl -X ${method} ${location.origin}${filled}`, `  -H "Authorization: Bearer $KEY"`];
  if (example !== undefined) lines.push(`  -H "Content-Type: application/json"`, `  -d '${JSON.stringify(example)}'`);
  return make("pre", {}, lines.join(" \\\n"));
}

function operationOf(path, method, operation, document_) {
  const body = operation.requestBody && operation.requestBody.content["application/json"];
  const [status, success] = Object.entries(operation.responses).find(([code]) => code < "300") || [];
  const answer = success && success.content && success.content["application/json"];
  const failures = Object.entries(operation.responses).filter(([code]) => code >= "300");
  const query = (operation.parameters || []).filter((one) => one.in !== "path");
  const article = make("article", { id: operation.operationId },
    make("h3", {}, make("span", { class: "method" }, method), make("code", {}, path)),
    make("p", {}, make("strong", {}, operation.summary)), ...prose(operation.description || ""));
  article.append(curl(path, method, operation, body && body.example));
  if (query.length) {
    article.append(make("details", {}, make("summary", {}, "Parameters"), make("table", {}, make("tbody", {},
      ...query.map((one) => make("tr", {}, make("td", {}, make("code", {}, one.name)), make("td", {}, one.in),
        make("td", {}, make("code", {}, typeOf(one.schema, document_))),
        make("td", {}, ...inline(one.description || ""))))))));
  }
  if (body) article.append(make("details", {}, make("summary", {}, "Body"), fields(body.schema, document_)));
  if (answer) {
    article.append(make("details", {}, make("summary", {}, `Answer ${status}`), fields(answer.schema, document_),
      answer.example ? json(answer.example) : null));
  }
  article.append(make("details", {}, make("summary", {}, "What can go wrong"), ...failures.map(([code, one]) =>
    make("div", {}, make("p", {}, make("strong", {}, code)), ...prose(one.description)))));
  return article;
}

function problems(document_) {
  const table = document_["x-problems"];
  return [make("h2", {}, "Error codes"), make("table", {}, make("tbody", {},
    ...Object.entries(table).map(([code, kind]) => make("tr", { id: code },
      make("td", {}, make("code", {}, code)), make("td", {}, String(kind.status)), make("td", {}, kind.title),
      make("td", {}, ...inline(kind.way_out))))))];
}

async function show() {
  const document_ = await (await fetch("/openapi.json")).json();
  document.getElementById("version").textContent = document_.info.version;
  document.getElementById("about").append(...prose(document_.info.description));
  const operations = document.getElementById("operations");
  const index = document.getElementById("index");
  operations.replaceChildren();
  const entries = [];
  for (const tag of document_.tags) {
    const list = make("div", {}, make("h2", {}, tag.name));
    index.append(list);
    operations.append(make("h2", {}, tag.name));
    for (const [path, methods] of Object.entries(document_.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        if (!operation.tags.includes(tag.name)) continue;
        const article = operationOf(path, method.toUpperCase(), operation, document_);
        const link = make("a", { href: `#${operation.operationId}` }, operation.summary);
        operations.append(article);
        list.append(link);
        entries.push([`${method} ${path} ${operation.summary}`.toLowerCase(), article, link]);
      }
    }
  }
  document.getElementById("problems").append(...problems(document_));
  document.getElementById("find").addEventListener("input", (event) => {
    const words = event.target.value.toLowerCase().split(/\s+/);
    for (const [text, article, link] of entries) {
      article.hidden = link.hidden = !words.every((word) => text.includes(word));
    }
  });
  // Go to what the address names, now that it is there: that scrolls and marks it.
  const wanted = location.hash;
  if (wanted) {
    history.replaceState(null, "", location.pathname);
    location.replace(wanted);
  }
}

show();
