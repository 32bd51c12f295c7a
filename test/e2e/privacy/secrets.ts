/** A secret that must not appear anywhere, with all forms in which it might be written. */
export interface Secret {
  readonly name: string;
  readonly forms: readonly string[];
}

/** The base64 characters that do not depend on the bytes before and after, for each of the three alignments. */
function base64Forms(bytes: Buffer): string[] {
  return [0, 1, 2].map((offset) => {
    const text = Buffer.concat([Buffer.alloc(offset), bytes])
      .toString('base64')
      .replace(/=+$/, '');
    // Leave out characters that share bits with the bytes before, and the last one, which may share bits with the next.
    return text.slice(Math.ceil((offset * 8) / 6), -1);
  });
}

/** @param bytes long enough that no other bytes match by chance */
export function secretBytes(name: string, bytes: Uint8Array): Secret {
  const own = Buffer.from(bytes);
  const base64 = base64Forms(own);
  const base64Url = base64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_'));
  const hex = own.toString('hex');
  return { name, forms: [...new Set([...base64, ...base64Url, hex, hex.toUpperCase()])] };
}

export function secretText(name: string, text: string): Secret {
  const { forms } = secretBytes(name, Buffer.from(text));
  return { name, forms: [text, encodeURIComponent(text), ...forms] };
}

/** Names of the secrets that a text contains in any form. */
export function findSecrets(text: string, secrets: readonly Secret[]): string[] {
  return secrets.filter(({ forms }) => forms.some((form) => text.includes(form))).map(({ name }) => name);
}
