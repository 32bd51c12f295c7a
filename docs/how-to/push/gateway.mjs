// A push gateway for Parley: it takes signed wake-ups, and hands each to the push service of its platform.
// GATEWAY_SECRET=whsec_... PORT=8090 node gateway.mjs    (needs `npm install standardwebhooks`)
import { Buffer } from 'node:buffer';
import { createServer } from 'node:http';
import { Webhook } from 'standardwebhooks';

const webhook = new Webhook(process.env.GATEWAY_SECRET);
const MAX_BYTES = 16 * 1024;

// Put your calls of APNs and FCM here. Each returns an HTTP status: 2xx = taken, 410 = the token is gone, 503 = try later.
const platforms = {
  async ios({ token, urgency }) {
    console.log(JSON.stringify({ platform: 'ios', token, urgency }));
    return 200;
  },
  async android({ token, urgency }) {
    console.log(JSON.stringify({ platform: 'android', token, urgency }));
    return 200;
  },
};

async function answer(request) {
  const chunks = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += chunk.length;
    if (bytes > MAX_BYTES) return 413;
    chunks.push(chunk);
  }
  let wake;
  try {
    // Checks the signature, and that the request is not older than five minutes.
    wake = webhook.verify(Buffer.concat(chunks), request.headers);
  } catch {
    return 401;
  }
  const send = Object.hasOwn(platforms, wake.data.app) ? platforms[wake.data.app] : undefined;
  return send === undefined ? 400 : send(wake.data);
}

const server = createServer((request, response) => {
  answer(request).then(
    (status) => response.writeHead(status).end(),
    () => response.writeHead(503).end(),
  );
});
server.listen(Number(process.env.PORT ?? 8090), process.env.HOST ?? '127.0.0.1', () => {
  console.log(JSON.stringify({ listening: server.address().port }));
});
