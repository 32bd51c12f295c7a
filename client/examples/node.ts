// A chat in the terminal. What is typed goes to the newest conversation: PARLEY_USER=alice PARLEY_TOKEN=... node node.js bob
import { createInterface } from 'node:readline';
import { openChat } from '@parley/client';
import { fileStore } from '@parley/client/file-store';
import { tsMls } from '@parley/client/ts-mls';

const { PARLEY_URL: url = 'http://localhost:8080', PARLEY_USER: user = 'alice', PARLEY_TOKEN = '' } = process.env;
const friends = process.argv.slice(2);

// The device lives in this folder. After a crash it goes on where it was: what was typed is sent.
const store = await fileStore(`chat-of-${user}`);
const chat = await openChat({ mls: tsMls, url, user, token: () => PARLEY_TOKEN, store });

chat.on('message', ({ sender, text, state }) => {
  if (state.kind === 'seen') console.log(`${sender}: ${text}`);
  if (state.kind === 'refused') console.error(`not sent: ${state.problem.title}`);
});
chat.on('trouble', ({ message }) => console.error(message));

if (friends.length > 0) await chat.create({ users: friends });
for await (const line of createInterface({ input: process.stdin })) {
  const [newest] = chat.state.conversations;
  if (newest === undefined) console.error('You are in no conversation yet.');
  else await chat.send(newest.id, line);
}
await chat.close();
