// A chat in a page: <body data-service="https://chat.example" data-user="alice"><ul></ul><form><input name="text"></form>.
// All tabs of the page are one device. What is written offline waits, and is sent when the network is back.
import { indexedDbStore, openSharedChat } from '@parley/client';
import { tsMls } from '@parley/client/ts-mls';

const { service: url = '', user = '' } = document.body.dataset;
const name = `chat-of-${user}`;
// The token comes from your own sign-in, with the cookie of the page.
const token = async (): Promise<string> => (await fetch('/token')).text();
const chat = await openSharedChat({ name, url, user, token, mls: tsMls, store: await indexedDbStore(name) });

async function show(): Promise<void> {
  const [newest] = chat.state.conversations;
  const messages = newest === undefined ? [] : await chat.history(newest.id);
  const lines = messages.map(({ sender, text, state }) => {
    const line = document.createElement('li');
    line.textContent = `${sender}: ${text} (${state.kind})`;
    return line;
  });
  document.querySelector('ul')?.replaceChildren(...lines);
}
for (const event of ['state', 'message'] as const) chat.on(event, () => void show());
await show();

document.querySelector('form')?.addEventListener('submit', function (event) {
  event.preventDefault();
  void chat.send(chat.state.conversations[0]?.id ?? '', new FormData(this).get('text') as string);
  this.reset();
});
