/** The first half of a character that is cut in two. */
const HALF = /[\ud800-\udbff]$/;

/** A text of at most so many characters. A longer one ends with an ellipsis. */
export function shorten(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1).replace(HALF, '')}…`;
}
