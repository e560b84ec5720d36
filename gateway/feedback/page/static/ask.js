// What is asked of the server. Whatever goes wrong is an error whose message a person can read, in the page's language.
import { inWords } from "./errors.js";

export class AskError extends Error {
  constructor(code, english) {
    super(inWords(code, english));
    this.code = code;
  }
}

const address = (path, query) => `/api/${path}?${new URLSearchParams(Object.entries(query).filter(([, value]) => value))}`;

async function request(url, options) {
  const response = await fetch(url, options).catch(() => { throw new AskError("no_connection"); });
  if (response.ok) return response;
  const answer = await response.json().catch(() => ({}));
  throw new AskError(answer.code ?? "bad_answer", answer.error ?? response.statusText);
}

const json = async (response) => response.json().catch(() => { throw new AskError("bad_answer"); });

export const ask = async (path, query = {}) => json(await request(address(path, query)));

export async function send(path, token, body) {
  if (/[^\x20-\x7e]/.test(token)) throw new AskError("token_wrong"); // no header can hold it
  const headers = { "Content-Type": "application/json", Authorization: `Bearer ${token}` };
  return json(await request(`/api/${path}`, { method: "POST", headers, body: JSON.stringify(body) }));
}

// A file is fetched before it is saved: what goes wrong is then said on the page, and nothing of it lands in a file.
export async function download(path, query) {
  const response = await request(address(path, query));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = nameOf(response.headers.get("Content-Disposition") ?? "");
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function nameOf(disposition) {
  const encoded = /filename\*=UTF-8''([^;]+)/i.exec(disposition);
  return encoded ? decodeURIComponent(encoded[1]) : /filename="([^"]+)"/.exec(disposition)?.[1] ?? "report";
}
