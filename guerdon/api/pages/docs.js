"use strict";
// Renders /openapi.json. Builds elements, never HTML from text, and loads nothing from anywhere else.

let api;

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

// The name of an error leads to its row.
function inline(text) {
  return text.split(/(`[^`]+`)/).map((part) => {
    if (!part.startsWith("`") || part.length < 2) return part;
    const code = make("code", {}, part.slice(1, -1));
    return code.textContent in api["x-problems"] ? make("a", { href: `#${code.textContent}` }, code) : code;
  });
}

// JSON with what is short in one line.
function json(value, indent = "") {
  const line = JSON.stringify(value, null, 1).replace(/\n */g, " ");
  if (line.length + indent.length <= 80 || typeof value !== "object") return line;
  const inner = `${indent}  `;
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const parts = Object.entries(value).map(([name, one]) =>
    inner + (open === "{" ? `${JSON.stringify(name)}: ` : "") + json(one, inner));
  return `${open}\n${parts.join(",\n")}\n${indent}${close}`;
}

// Structs of the same name are told apart by where they are written, which says nothing to a reader.
function short(name) {
  return name.split(".").pop();
}

function namedBy(schema) {
  const name = schema.$ref.split("/").pop();
  return [name, api.components.schemas[name]];
}

function typeOf(schema) {
  if (!schema) return "";
  if (schema.$ref) {
    const [name, named] = namedBy(schema);
    return named.properties ? short(name) : typeOf(named);
  }
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(" | ");
  if (schema.type === "array") {
    const item = typeOf(schema.items || (schema.prefixItems || [])[0]);
    return item.includes(" | ") ? `(${item})[]` : `${item}[]`;
  }
  if (schema.additionalProperties) return `{string: ${typeOf(schema.additionalProperties)}}`;
  return [].concat(schema.type || "any").join(" | ");
}

// The structs that a value may be or contain: they are opened below its field.
function structs(schema) {
  if (!schema) return [];
  if (schema.$ref) return namedBy(schema)[1].properties ? [schema] : [];
  const inner = [...(schema.anyOf || []), schema.items, ...(schema.prefixItems || []), schema.additionalProperties];
  return inner.filter((one) => one && typeof one === "object").flatMap(structs);
}

// What a value must keep to, beside its type.
function bounds(schema) {
  const plain = (schema.anyOf || []).find((one) => one.type !== "null" && !one.$ref) || schema;
  const { minimum, maximum, maxLength, maxItems } = plain;
  return [
    minimum !== undefined && maximum !== undefined ? `${minimum} to ${maximum}.` : null,
    minimum !== undefined && maximum === undefined ? `At least ${minimum}.` : null,
    minimum === undefined && maximum !== undefined ? `At most ${maximum}.` : null,
    maxLength === undefined ? null : `At most ${maxLength} characters.`,
    maxItems === undefined ? null : `At most ${maxItems} of them.`,
    ["boolean", "number", "string"].includes(typeof schema.default) && schema.default !== ""
      ? `Default: ${JSON.stringify(schema.default)}.` : null,
  ].filter(Boolean).join(" ");
}

function table(titles, rows) {
  return make("table", {}, make("thead", {}, make("tr", {}, ...titles.map((title) => make("th", {}, title)))),
    make("tbody", {}, ...rows));
}

// One row, and one more where a struct can be opened. Structs contain one another, so each is made when it is opened.
function row(name, schema, text, { required, where }) {
  const found = [make("tr", {},
    make("td", {}, make("code", {}, name), required ? make("span", { class: "faint" }, " required") : null),
    make("td", {}, make("code", {}, typeOf(schema)), where ? make("span", { class: "faint" }, ` in ${where}`) : null),
    make("td", {}, ...inline((text || "").replace(/[^.…]$/, "$&.")),
      make("span", { class: "faint" }, ` ${bounds(schema)}`)))];
  const nested = structs(schema).map((one) => {
    const details = make("details", {}, make("summary", {}, make("code", {}, short(namedBy(one)[0]))));
    details.addEventListener("toggle", () => details.append(fields(one, required !== undefined)), { once: true });
    return details;
  });
  if (nested.length) found.push(make("tr", { class: "more" }, make("td", { colspan: 3 }, ...nested)));
  return found;
}

// An answer always has all its fields; of a body, those that must be sent come first.
function fields(schema, sent) {
  const [, named] = namedBy(schema);
  const required = new Set(sent ? named.required : []);
  const order = Object.entries(named.properties).sort(([a], [b]) => required.has(b) - required.has(a));
  return make("div", {}, ...prose(named.description || ""), table(["Field", "Type", "Meaning"],
    order.flatMap(([name, property]) =>
      row(name, property, property.description, { required: sent ? required.has(name) : undefined }))));
}

function curl(path, method, operation, example) {
  const parameters = operation.parameters || [];
  const filled = path.replace(/{(\w+)}/g, (all, name) => parameters.find((one) => one.name === name).example || all);
  const asked = parameters.filter((one) => one.in === "query" && one.required);
  const address = location.origin + filled + asked.map((one, at) => `${at ? "&" : "?"}${one.name}=…`).join("");
  const lines = [`curl -X ${method} '${address}'`, `  -H "Authorization: Bearer $KEY"`];
  if (example !== undefined) {
    lines.push(`  -H "Content-Type: application/json"`, `  -d '${json(example, "  ").replace(/'/g, `'\\''`)}'`);
  }
  return make("pre", {}, lines.join(" \\\n"));
}

function folded(title, ...children) {
  return make("details", {}, make("summary", {}, title), ...children);
}

function operationOf(path, method, operation) {
  const body = operation.requestBody && operation.requestBody.content["application/json"];
  const [status, success] = Object.entries(operation.responses).find(([code]) => code < "300") || [];
  const [kind, answer] = Object.entries(success && success.content || {})[0] || [];
  const failures = Object.entries(operation.responses).filter(([code]) => code >= "300");
  const parameters = operation.parameters || [];
  const article = make("article", { id: operation.operationId, tabindex: -1 },
    make("h3", {}, make("a", { href: `#${operation.operationId}` }, operation.summary)),
    make("p", { class: "route" }, make("span", { class: "method" }, method), make("code", {}, path)),
    ...prose(operation.description || ""), curl(path, method, operation, body && body.example));
  if (parameters.length) {
    article.append(folded("Parameters", table(["Name", "Type", "Meaning"], parameters.flatMap((one) =>
      row(one.name, one.schema, one.description, { required: Boolean(one.required), where: one.in })))));
  }
  if (body) article.append(folded("Body", fields(body.schema, true)));
  if (answer && answer.schema.$ref) {
    article.append(folded(`Answer ${status}`, fields(answer.schema, false),
      answer.example ? make("pre", {}, json(answer.example)) : null));
  } else if (success) {
    article.append(folded(`Answer ${status}`, make("p", {}, success.description, kind ? ` (${kind})` : "", ".")));
  }
  article.append(folded("What can go wrong", ...failures.map(([code, one]) =>
    make("div", {}, make("p", {}, make("strong", {}, code)), ...prose(one.description)))));
  return article;
}

function problemOf(code, kind) {
  return make("tr", { id: code }, make("td", {}, make("code", {}, code)), make("td", {}, String(kind.status)),
    make("td", {}, kind.title), make("td", {}, ...inline(kind.way_out)));
}

// What can be found, with its text, and its link in the index if it has one; and the parts of the page it stands in.
const entries = [];
const parts = [];

function part(name, operations, index) {
  const section = make("section", {}, make("h2", {}, name));
  const list = make("div", {}, make("h2", {}, name));
  operations.append(section);
  index.append(list);
  parts.push([section, list]);
  return [section, list];
}

function listOperations(operations, index) {
  for (const tag of api.tags) {
    const [section, list] = part(tag.name, operations, index);
    for (const [path, methods] of Object.entries(api.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        if (!operation.tags.includes(tag.name)) continue;
        const article = operationOf(path, method.toUpperCase(), operation);
        const link = make("a", { href: `#${operation.operationId}` }, operation.summary);
        section.append(article);
        list.append(link);
        entries.push([`${method} ${path} ${operation.summary} ${tag.name}`.toLowerCase(), article, link]);
      }
    }
  }
}

function listProblems(operations, index) {
  const rows = Object.entries(api["x-problems"]).map(([code, kind]) => {
    const found = problemOf(code, kind);
    entries.push([`${code} ${kind.status} ${kind.title} error`.toLowerCase(), found]);
    return found;
  });
  const [section, list] = part("Errors", operations, index);
  section.id = "problems";
  section.append(table(["Code", "Status", "What it says", "The way out"], rows));
  list.append(make("a", { href: "#problems" }, "All error codes"));
}

function find(text) {
  const words = text.toLowerCase().split(/\s+/);
  let count = 0;
  for (const [known, ...places] of entries) {
    const matches = words.every((word) => known.includes(word));
    for (const place of places) place.hidden = !matches;
    count += matches;
  }
  for (const [section, list] of parts) {
    section.hidden = list.hidden = !section.querySelector("article:not([hidden]), tr[id]:not([hidden])");
  }
  document.getElementById("about").hidden = Boolean(text.trim());
  document.getElementById("found").textContent = text.trim() ? `${count} found` : "";
}

// On a narrow screen the index is folded away, and folds again when it has been used.
function foldIndex(input) {
  const contents = document.getElementById("contents");
  const wide = matchMedia("(min-width: 50.01rem)");
  const fit = () => { contents.open = wide.matches; };
  fit();
  wide.addEventListener("change", fit);
  input.addEventListener("input", () => { if (input.value) contents.open = true; });
  document.getElementById("index").addEventListener("click", (event) => { if (event.target.closest("a")) fit(); });
}

async function show() {
  const answer = await fetch("/openapi.json");
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  api = await answer.json();
  document.getElementById("version").textContent = api.info.version;
  document.getElementById("about").append(...prose(api.info.description));
  const operations = document.getElementById("operations");
  const index = document.getElementById("index");
  operations.replaceChildren();
  listOperations(operations, index);
  listProblems(operations, index);

  const input = document.getElementById("find");
  foldIndex(input);
  input.addEventListener("input", () => {
    find(input.value);
    if (input.value) scrollTo(0, 0);
  });
  // What an address names may be hidden by what was looked for.
  addEventListener("hashchange", () => {
    const named = document.getElementById(location.hash.slice(1));
    if (!named || !named.hidden) return;
    input.value = "";
    find("");
    named.scrollIntoView();
  });
  // Go to what the address names, now that it is there: that scrolls and marks it.
  const wanted = location.hash;
  if (wanted) {
    history.replaceState(null, "", location.pathname);
    location.replace(wanted);
  }
}

show().catch((error) => {
  document.getElementById("operations").replaceChildren(
    make("p", {}, make("a", { href: "/openapi.json" }, "openapi.json"), ` could not be read: ${error.message}`));
});
