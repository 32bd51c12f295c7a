import { type RequestListener, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import type pg from 'pg';
import { createApp } from '../../api/app.ts';
import { securityHeaders } from '../../api/http/common-headers.ts';
import { type MessageClasses, makeMessageClasses } from '../../api/http/message-classes.ts';
import type { Submitter } from '../../dispatch/submission.ts';
import { appDeps } from '../harness/in-process-api.ts';

// Run by http.ts as a process of its own: serves one variant, says its port, and tells its CPU time when asked.

export const VARIANTS = [
  'node:http alone',
  'with Express',
  'with Express and our classes',
  'the API',
  'the API without our classes',
] as const;
export type Variant = (typeof VARIANTS)[number];

interface Served {
  readonly handler: RequestListener;
  readonly classes?: MessageClasses;
}

/** Reads a body, parses it, and answers with as many headers as the API. */
const answer: RequestListener = (req, res) => {
  const chunks: Buffer[] = [];
  req.on('data', (chunk: Buffer) => chunks.push(chunk));
  req.once('end', () => {
    const { id } = JSON.parse(Buffer.concat(chunks).toString()) as { id: string };
    for (const [name, value] of HEADERS) res.setHeader(name, value);
    end(res, JSON.stringify({ results: [{ id, seq: 1, epoch: 0, status: 'accepted' }] }));
  });
};
const HEADERS = [...securityHeaders(), ['Cache-Control', 'no-store'], ['X-Request-Id', 'a'.repeat(36)]] as const;

function end(res: ServerResponse, text: string): void {
  res.setHeader('Content-Type', 'application/json; charset=utf-8');
  res.setHeader('Content-Length', text.length);
  res.end(text);
}

/** The app, whose messages are decided at once, without a database. */
async function api(): Promise<Required<Served>> {
  const row = { protocol: 'opaque', known: true, open: false };
  const pool = { options: { max: 20 }, query: () => Promise.resolve({ rows: [row] }) } as unknown as pg.Pool;
  let seq = 0;
  const submit = (): Promise<unknown> => Promise.resolve({ status: 'accepted', seq: ++seq, epoch: 0 });
  return createApp(await appDeps(pool, { submitter: { submit } as Submitter }));
}

async function serve(variant: Variant): Promise<Served> {
  if (variant === 'node:http alone') return { handler: answer };
  if (variant === 'the API') return api();
  if (variant === 'the API without our classes') return { handler: (await api()).handler };
  const app = express().disable('x-powered-by');
  app.post('/v1/conversations/:id/messages', answer);
  if (variant === 'with Express') return { handler: app };
  return { classes: makeMessageClasses(app), handler: app };
}

const asked = VARIANTS.find((variant) => variant === process.argv[2]);
if (asked !== undefined) {
  const { handler, classes } = await serve(asked);
  const server = createServer({ ...classes, noDelay: true }, handler);
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    process.send?.(user + system);
  });
  process.once('disconnect', () => process.exit());
}
