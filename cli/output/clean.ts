// What a terminal obeys must not come from a user: ids, names and errors can hold control characters, which move the cursor, change
// what stands above, or turn the direction of the text. They are shown by their numbers instead.

/** Control, format (direction of text), surrogate, private and unassigned characters, and separators of lines. */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]/gu;
/** The same for JSON, whose own line breaks stay. `JSON.stringify` escapes the others below U+0020 already. */
const UNPRINTABLE_IN_JSON = /[^\P{C}\n]|[\p{Zl}\p{Zp}]/gu;

/** One line that is safe to print. */
export function clean(text: string): string {
  return text.replace(UNPRINTABLE, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
}

/** Safe lines. Only text whose parts are clean may have line breaks. */
export function cleanLines(text: string): string {
  return text.split('\n').map(clean).join('\n');
}

/** JSON that is safe to print: the same value. @param indent spaces; 0 = one line */
export function cleanJson(value: unknown, indent: number): string {
  return JSON.stringify(value, null, indent).replace(UNPRINTABLE_IN_JSON, (character) =>
    // Escapes of JSON have 16 bits each.
    Array.from(
      { length: character.length },
      (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`,
    ).join(''),
  );
}
