import { messageOf } from '../../process/message-of.ts';
/** Where an image is named: after `FROM` in a Dockerfile, after `image:` in a compose file. */
const REFERENCE = /^(\s*(?:FROM|image:)\s+)([^\s@:]+:[^\s@]+)(?:@sha256:[0-9a-f]{64})?/gm;
const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** The images that a file names with an exact tag, without those of ours. */
export function imagesIn(text: string): string[] {
  return [...text.matchAll(REFERENCE)].map(([, , image = '']) => image).filter((image) => !isOurs(image));
}

/**
 * Writes the digest behind each tag, and replaces an older one.
 * @param files content by name
 * @param digestOf asks for the digest of an image
 * @returns the new content by name
 * @throws Error that lists every image whose digest cannot be had; then nothing is pinned
 */
export async function pinDigests(
  files: ReadonlyMap<string, string>,
  digestOf: (image: string) => Promise<string>,
): Promise<Map<string, string>> {
  const digests = new Map<string, string>();
  const problems: string[] = [];
  for (const image of new Set([...files.values()].flatMap(imagesIn))) {
    try {
      const digest = (await digestOf(image)).trim();
      if (DIGEST.test(digest)) digests.set(image, digest);
      else problems.push(`${image}: not a digest: ${digest}`);
    } catch (error) {
      problems.push(`${image}: ${messageOf(error)}`);
    }
  }
  if (problems.length > 0) throw new Error(`Nothing is pinned. No digest for:\n  ${problems.join('\n  ')}`);
  const pin = (text: string): string =>
    text.replaceAll(REFERENCE, (all: string, before: string, image: string) => {
      const digest = digests.get(image);
      return digest === undefined ? all : `${before}${image}@${digest}`;
    });
  return new Map([...files].map(([name, text]) => [name, pin(text)]));
}

function isOurs(image: string): boolean {
  return image.startsWith('parley:');
}
