/** Standard base64 (RFC 4648 §4), canonical and with padding: every byte string has exactly one form. */

/** @returns the bytes, or `undefined` for anything that is not the one form */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  // The decoder is lenient (alphabets, line breaks, stray bits); what it made of the text must give the text again.
  return bytes.toString('base64') === text ? bytes : undefined;
}
