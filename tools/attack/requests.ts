import { Agent, fetch as undiciFetch } from 'undici';
import type { Answer } from '../harness/answer.ts';
import { requestOf } from '../harness/ask.ts';
import type { Target } from './attack-case.ts';

/** Longer than any answer may take. */
const GIVE_UP_MS = 60_000;

/** Requests as `InProcessApi.ask` sends them, to a process of its own. An attacker opens as many connections as it likes. */
export function makeAsk(url: () => string, token: Target['token']): Target['ask'] {
  const dispatcher = new Agent({ connections: 64, headersTimeout: GIVE_UP_MS, bodyTimeout: GIVE_UP_MS });
  return async (what, question = {}) => {
    const { path, ...init } = await requestOf(what, question, token);
    try {
      const response = await undiciFetch(`${url()}${path}`, { dispatcher, ...init });
      const text = await response.text();
      return { status: response.status, headers: response.headers as unknown as Headers, body: parsed(text), text };
    } catch {
      // The service may end a connection before it has read the body: for the attacker that is a refusal without words.
      return { status: 0, headers: new Headers(), body: { code: 'connection-ended' }, text: '' };
    }
  };
}

function parsed(text: string): Answer['body'] {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Answer['body']) : {};
  } catch {
    return {};
  }
}
