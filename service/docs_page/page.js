// Shows openapi.json: every route with its fields, its answers and a way to try it.
// Addresses are relative, so that the page also works behind a proxy with a path of its own.
"use strict";

function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

function resolved(schema, components) {
  return schema.$ref ? components[schema.$ref.split("/").pop()] : schema;
}

function typeInWords(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return [...new Set(schema.anyOf.map(typeInWords))].join(" | ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.type === "array") {
    const items = typeInWords(schema.items ?? {});
    return `list of ${items.includes("|") ? `(${items})` : items}`;
  }
  return schema.type ?? "anything";
}

function limitsInWords(schema) {
  const parts = [schema, ...(schema.anyOf ?? [])];
  const limit = (key) => parts.find((part) => part[key] !== undefined)?.[key].toLocaleString("en");
  const words = [
    ["≥ ", limit("minimum"), ""],
    ["at most ", limit("maxItems"), " items"],
    ["at most ", limit("maxLength"), " characters"],
  ];
  return words
    .filter(([, number]) => number !== undefined)
    .map(([before, number, after]) => `, ${before}${number}${after}`)
    .join("");
}

function alternatives(schema) {
  return schema.anyOf ?? [schema];
}

function referenced(schema) {
  const inner = [schema.items, ...(schema.anyOf ?? [])].filter(Boolean);
  return [...(schema.$ref ? [schema] : []), ...inner.flatMap(referenced)];
}

function fieldRows(schema, components, prefix = "") {
  const { properties = {}, required = [] } = resolved(schema, components);
  return Object.entries(properties).flatMap(([name, field]) => {
    const row = element(
      "tr",
      {},
      element("td", {}, element("code", { textContent: prefix + name })),
      element("td", { className: "quiet", textContent: typeInWords(field) + limitsInWords(field) }),
      element("td", { textContent: required.includes(name) ? "required" : "" }),
      element("td", { textContent: field.description ?? "" }),
    );
    const separator = field.type === "array" ? "[]." : ".";
    const inner = referenced(field).flatMap((part) =>
      fieldRows(part, components, prefix + name + separator),
    );
    return [row, ...inner];
  });
}

function fieldTables(title, schema, components) {
  return alternatives(schema).flatMap((alternative, position) => {
    const isList = alternative.type === "array";
    const item = isList ? alternative.items : alternative;
    const { description } = resolved(item, components);
    const rows = fieldRows(item, components, isList ? "[]." : "");
    return [
      element("h3", { textContent: position ? `${title}, or` : title }),
      element("p", { textContent: `${isList ? "A list. " : ""}${description ?? ""}` }),
      ...(rows.length ? [element("table", {}, ...rows)] : []),
    ];
  });
}

function statusTable(responses) {
  const rows = Object.entries(responses)
    .filter(([status]) => status !== "200")
    .map(([status, { description, headers = {} }]) => {
      const more = Object.keys(headers).map((name) => ` May carry ${name}.`);
      return element(
        "tr",
        {},
        element("td", {}, element("code", { textContent: status })),
        element("td", { textContent: description + more.join("") }),
      );
    });
  return rows.length
    ? [element("h3", { textContent: "Errors" }), element("table", {}, ...rows)]
    : [];
}

async function send(method, path, input, output) {
  output.hidden = false;
  output.textContent = "…";
  const started = performance.now();
  try {
    const options = input
      ? { method, body: input.value, headers: { "Content-Type": "application/json" } }
      : { method };
    const response = await fetch(path.slice(1), options);
    const text = await response.text();
    const elapsed = Math.round(performance.now() - started);
    output.textContent = `${response.status} in ${elapsed} ms\n\n${indented(text)}`;
  } catch (error) {
    output.textContent = String(error);
  }
}

function indented(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function tryIt(method, path, content) {
  const output = element("pre", { hidden: true });
  const button = element("button", { type: "button", textContent: "Send" });
  const input = content ? element("textarea", { spellcheck: false }) : null;
  button.addEventListener("click", () => send(method, path, input, output));
  return [
    element("h3", { textContent: "Try it" }),
    ...(input ? [...exampleChoice(content.examples, input), input] : []),
    button,
    output,
  ];
}

function exampleChoice(examples, input) {
  const show = (name) => {
    input.value = JSON.stringify(examples[name].value, null, 2);
    input.rows = input.value.split("\n").length;
  };
  const names = Object.keys(examples);
  input.setAttribute("aria-label", "Body of the request");
  show(names[0]);
  if (names.length === 1) return [];
  const options = names.map((name) => element("option", { textContent: name }));
  const choice = element("select", {}, ...options);
  choice.setAttribute("aria-label", "Whose clients' example");
  choice.addEventListener("change", () => show(choice.value));
  return [choice];
}

function operationPanel(path, method, operation, components, isOpen) {
  const content = operation.requestBody?.content["application/json"];
  const [answer] = Object.values(operation.responses["200"].content);
  return element(
    "details",
    { className: "operation", id: operation.operationId, open: isOpen },
    element(
      "summary",
      {},
      element("span", { className: "method", textContent: method.toUpperCase() }),
      element("code", { textContent: path }),
      element("span", { className: "quiet", textContent: ` ${operation.summary}` }),
    ),
    element(
      "div",
      {},
      ...(operation.description ?? "")
        .split("\n\n")
        .map((textContent) => element("p", { textContent })),
      ...tryIt(method.toUpperCase(), path, content),
      ...(content ? fieldTables("Request", content.schema, components) : []),
      ...fieldTables("Answer", answer.schema, components),
      ...statusTable(operation.responses),
    ),
  );
}

async function show() {
  const main = document.getElementById("operations");
  try {
    const { info, paths, components } = await (await fetch("openapi.json")).json();
    document.getElementById("version").textContent = info.version;
    document.getElementById("description").textContent = info.description;
    const operations = Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => [path, method, operation]),
    );
    main.replaceChildren(
      ...operations.map(([path, method, operation], position) =>
        operationPanel(path, method, operation, components.schemas, position === 0),
      ),
    );
  } catch (error) {
    main.textContent = `openapi.json cannot be read: ${error}`;
  }
}

show();
