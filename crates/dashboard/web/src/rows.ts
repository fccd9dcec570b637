// Rows as people have them: JSONL, a JSON array, or a table with a header.

import Papa from "papaparse";

export type Row = Record<string, unknown>;

/** Reads rows from a text; what cannot be read is said with its line. */
export function readRows(text: string): { rows: Row[]; fault?: string } {
  const trimmed = text.replace(/^\uFEFF/, "").trim();
  if (trimmed === "") {
    return { rows: [] };
  }
  if (trimmed.startsWith("[")) {
    try {
      return check(JSON.parse(trimmed));
    } catch (error) {
      return { rows: [], fault: `This is no JSON array: ${String(error)}` };
    }
  }
  if (trimmed.startsWith("{")) {
    const rows: unknown[] = [];
    for (const [index, line] of trimmed.split(/\r?\n/).entries()) {
      if (line.trim() === "") {
        continue;
      }
      try {
        rows.push(JSON.parse(line));
      } catch {
        return { rows: [], fault: `Line ${index + 1} is no JSON object.` };
      }
    }
    return check(rows);
  }
  const table = Papa.parse<Row>(trimmed, { header: true, skipEmptyLines: "greedy" });
  // A table of one column has no delimiter to find, and that is no fault.
  const fault = table.errors.find((error) => error.code !== "UndetectableDelimiter");
  return fault === undefined
    ? { rows: table.data }
    : { rows: [], fault: `Row ${(fault.row ?? 0) + 1} of the table: ${fault.message}` };
}

function check(rows: unknown): { rows: Row[]; fault?: string } {
  if (!Array.isArray(rows)) {
    return { rows: [], fault: "Rows are a list of objects." };
  }
  const wrong = rows.findIndex((row) => typeof row !== "object" || row === null || Array.isArray(row));
  return wrong < 0 ? { rows: rows as Row[] } : { rows: [], fault: `Row ${wrong + 1} is no object.` };
}

/** The fields that rows have, in the order of their first use. */
export function fieldsOf(rows: Row[]): string[] {
  return [...new Set(rows.slice(0, 200).flatMap((row) => Object.keys(row)))];
}

/** How a template names a field. */
export function inTemplate(field: string): string {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(field) ? `{{ ${field} }}` : `{{ row[${JSON.stringify(field)}] }}`;
}
