// Reads DOT from standard input, writes SVG to standard output. A warning of Graphviz counts as an error.
const { readFileSync } = require("node:fs");
const { instance } = require("@viz-js/viz");

instance().then((viz) => {
  const result = viz.render(readFileSync(0, "utf8"), { format: "svg" });
  for (const { level, message } of result.errors) console.error(`${level ?? "error"}: ${message.trim()}`);
  if (result.errors.length || result.status !== "success") process.exit(1);
  process.stdout.write(result.output);
});
