// The published schemas, by ajv and AsyncAPI's own parser; see tests/clients/README.md.
//
//   node schemas.mjs compile SCHEMA…        an object: each file's error, or null
//   node schemas.mjs validate SCHEMA FILE   a line for each of FILE's: null where it is valid, else the first error
//   node schemas.mjs asyncapi FILE          an object: the version, and the parser's findings
import { readFileSync } from "node:fs";
import { fromFile, Parser } from "@asyncapi/parser";
import Ajv2020 from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

function compile(path) {
  const ajv = new Ajv2020({ strict: true });
  addFormats(ajv);
  return ajv.compile(JSON.parse(readFileSync(path, "utf8")));
}

function compileAll(paths) {
  const errors = {};
  for (const path of paths) {
    try {
      compile(path);
      errors[path] = null;
    } catch (error) {
      errors[path] = error.message;
    }
  }
  console.log(JSON.stringify(errors));
}

function validateAll(schema, file) {
  const validate = compile(schema);
  for (const line of readFileSync(file, "utf8").split("\n").filter(Boolean)) {
    const [error] = validate(JSON.parse(line)) ? [] : validate.errors;
    console.log(JSON.stringify(error ? `${error.instancePath} ${error.message}` : null));
  }
}

async function parse(file) {
  const { document, diagnostics } = await fromFile(new Parser(), file).parse();
  const findings = diagnostics.map(({ path, message }) => `${path.join(".")}: ${message}`);
  console.log(JSON.stringify({ version: document?.version() ?? null, findings }));
}

const [command, ...files] = process.argv.slice(2);
await { compile: () => compileAll(files), validate: () => validateAll(...files), asyncapi: () => parse(...files) }[command]();
