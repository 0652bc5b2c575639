const plain = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const tables = (value) => Array.isArray(value) && value.length > 0 && value.every(plain);

function scalar(value) {
  return Array.isArray(value) ? `[${value.map(scalar).join(", ")}]` : JSON.stringify(value);
}

/**
 * Formats settings as TOML. Keys are bare; `undefined` omits a key.
 * @param {object} settings
 */
export function toml(settings, path = []) {
  const entries = Object.entries(settings).filter(([, value]) => value !== undefined);
  const lines = [];
  for (const [key, value] of entries) {
    if (!plain(value) && !tables(value)) lines.push(`${key} = ${scalar(value)}`);
  }
  for (const [key, value] of entries) {
    const name = [...path, key];
    if (plain(value)) {
      lines.push("", `[${name.join(".")}]`, toml(value, name));
    } else if (tables(value)) {
      for (const item of value) lines.push("", `[[${name.join(".")}]]`, toml(item, name));
    }
  }
  return lines.join("\n");
}

/** Merges settings into others: tables recursively, all other values are replaced. */
export function merge(base, over) {
  const merged = { ...base };
  for (const [key, value] of Object.entries(over)) {
    merged[key] = plain(value) && plain(base[key]) ? merge(base[key], value) : value;
  }
  return merged;
}

/** Reads a block of a document: `[[tables]]` whose keys have texts, lists of texts, numbers or truth values, in one line. */
export function readBlock(text) {
  const read = {};
  let table = read;
  for (const line of text.split("\n")) {
    const name = line.match(/^\[\[(\w+)\]\]$/)?.[1];
    const [, key, value] = line.match(/^(\w+) = ("[^"]*"|\[[^\]]*\]|\w+)/) ?? [];
    if (name) (read[name] ??= []).push(table = {});
    else if (key) table[key] = JSON.parse(value);
    else if (line.trim() && !line.startsWith("#")) throw new Error(`cannot read ${line}`);
  }
  return read;
}
