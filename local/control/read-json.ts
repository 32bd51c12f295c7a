import type { IncomingMessage } from 'node:http';
import type { z } from 'zod';
import { assertJson } from './guard.ts';
import { Refusal } from './refusal.ts';

/** Room for the longest user id, with every character escaped. */
const MAX_BODY_BYTES = 8192;

/**
 * Reads the body of a request.
 * @throws Refusal if it is no JSON, too long, or not as the schema says
 */
export async function readJson<T>(request: IncomingMessage, schema: z.ZodType<T>): Promise<T> {
  assertJson(request);
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw new Refusal(413, 'too-large', `A body has at most ${MAX_BODY_BYTES} bytes.`);
    chunks.push(chunk);
  }
  const parsed = schema.safeParse(jsonIn(Buffer.concat(chunks).toString('utf8')));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new Refusal(400, 'malformed', `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'malformed'}`);
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new Refusal(400, 'malformed', 'The body is not JSON.');
  }
}
