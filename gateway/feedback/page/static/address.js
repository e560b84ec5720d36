// The view, its filters and what the dialog shows stand in the address: a link or a reload brings the same again.
export const OPEN = "open";

export function address() {
  const [name, text] = location.hash.replace(/^#\/?/, "").split("?");
  const { [OPEN]: open, ...query } = Object.fromEntries(new URLSearchParams(text ?? ""));
  return { name, query, open: open ?? null };
}

export function href(name, query = {}, open = null) {
  const all = new URLSearchParams(open ? { ...query, [OPEN]: open } : query).toString();
  return all ? `#/${name}?${all}` : `#/${name}`;
}

export const replace = (name, query, open) => history.replaceState(null, "", href(name, query, open));

export const isSame = (one, other) => new URLSearchParams(one).toString() === new URLSearchParams(other).toString();
