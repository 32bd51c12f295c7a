/** The first two letters of a user id: of its words, or of its last part, for ids such as `did:example:alice`. */
export function initialsOf(user: string): string {
  const name =
    user
      .split(/[:/]/)
      .filter((part) => part !== '')
      .at(-1) ?? user;
  const words = name.split(/[\s._-]+/u).filter((word) => word !== '');
  const letters = (words.length > 1 ? words.slice(0, 2) : [name]).map((word) => firstCharacter(word));
  return letters.join('').toLocaleUpperCase();
}

/** A colour for a user id, from 0 to 359: the same everywhere. */
export function hueOf(user: string): number {
  let hash = 0;
  for (const character of user) hash = (hash * 31 + (character.codePointAt(0) ?? 0)) % 360_007;
  return hash % 360;
}

/** What a conversation is called: the others in it. @param members user ids */
export function titleOf(members: readonly string[], self: string): string {
  const others = members.filter((user) => user !== self);
  if (others.length === 0) return 'Only you';
  const [shown, rest] = [others.slice(0, 3), others.length - 3];
  return rest > 0 ? `${shown.join(', ')} and ${rest} more` : shown.join(', ');
}

/** What a person typed as names: between commas, semicolons and lines. Each is there once. */
export function namesIn(text: string): string[] {
  const names = text
    .split(/[,;\n]/)
    .map((name) => name.trim())
    .filter((name) => name !== '');
  return [...new Set(names)];
}

const NOT_PRINTABLE = /[^\P{C}\u200c\u200d]|[\p{Zl}\p{Zp}]/u;

/** Whether the service takes a text as a user or device id. @returns what is wrong with it, for people */
export function nameProblem(name: string): string | undefined {
  if (name === '') return 'Type a name.';
  if (name === '.' || name === '..') return 'A name cannot be only dots.';
  if (name.length > 255) return 'A name has at most 255 characters.';
  if (NOT_PRINTABLE.test(name)) return 'A name has only letters, digits and other characters that can be seen.';
  return undefined;
}

const characters = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

/** With its accents, and with all parts of an emoji. */
function firstCharacter(word: string): string {
  for (const { segment } of characters.segment(word)) return segment;
  return '';
}
