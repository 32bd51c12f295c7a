// A bot. It answers "/time" in every conversation that somebody adds it to; each question once, also after a crash.
import { type ChatMessage, openChat } from '@parley/client';
import { fileStore } from '@parley/client/file-store';
import { tsMls } from '@parley/client/ts-mls';

const { PARLEY_URL: url = 'http://localhost:8080', PARLEY_USER: user = 'clock', PARLEY_TOKEN = '' } = process.env;
const store = await fileStore(`chat-of-${user}`);
const chat = await openChat({ mls: tsMls, url, user, token: () => PARLEY_TOKEN, store });

async function answer({ id, conversation, text, isOwn }: ChatMessage): Promise<void> {
  if (isOwn || text !== '/time') return;
  // The id of the answer comes from the question: to send it a second time does nothing.
  await chat.send(conversation, `It is ${new Date().toISOString()}.`, { id: `${id}-answer` });
}
chat.on('message', (message) => void answer(message).catch(console.error));
chat.on('trouble', ({ message }) => console.error(message));
process.once('SIGTERM', () => void chat.close());

// What it had read, and not answered yet, when it ended the last time. Who has removed it gets no answer.
for (const { id } of chat.state.conversations.filter(({ state }) => state !== 'removed')) {
  let page = await chat.history(id);
  for (; page.length > 0; page = await chat.history(id, { before: page[0]?.id ?? '' })) {
    for (const message of page) await answer(message).catch(console.error);
  }
}
