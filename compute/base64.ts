/** Standard base64 (RFC 4648 §4), canonical and with padding: every byte string has exactly one form. */

/** @returns the bytes, or `undefined` if the text is not in this form */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  // The decoder also accepts other alphabets, line breaks and stray bits. So the bytes must give the same text again.
  return bytes.toString('base64') === text ? bytes : undefined;
}
