import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { Device } from '../../client/index.ts';
import type { ChatModel } from '../chat/chat-model.ts';
import type { ProblemWords } from '../chat/problem-words.ts';
import { wordsOf } from '../chat/problem-words.ts';
import { shortDateOf } from '../chat/times.ts';
import { ConfirmButton } from '../parts/confirm-button.tsx';
import { Icon } from '../parts/icon.tsx';
import { Problem } from '../parts/problem.tsx';
import { Sheet } from '../parts/sheet.tsx';
import { knownPeople } from './known-people.ts';
import { newDevice } from './new-names.ts';
import { PushSection } from './push-section.tsx';
import { openConversation } from './session.ts';
import type { Theme } from './theme.ts';
import { theme } from './theme.ts';
import { addressOf } from './window-identity.ts';

const THEMES: readonly (readonly [Theme, string])[] = [
  ['auto', 'As the system'],
  ['light', 'Light'],
  ['dark', 'Dark'],
];

/** Colours, devices, notifications and the end of this device. */
export function SettingsSheet({
  model,
  onClose,
}: {
  readonly model: ChatModel;
  readonly onClose: () => void;
}): JSX.Element {
  const { user, device, chat, config } = model.session;
  const conversation = openConversation.value;
  const next = addressOf({
    user,
    device: newDevice(knownPeople(), user),
    ...(conversation === undefined ? {} : { join: conversation }),
  });
  return (
    <Sheet title="Settings" onClose={onClose}>
      <section aria-labelledby="colours">
        <h3 id="colours">Colours</h3>
        <div class="row" role="radiogroup" aria-labelledby="colours">
          {THEMES.map(([value, label]) => (
            <label key={value} class="check">
              <input type="radio" name="theme" checked={theme.value === value} onChange={() => (theme.value = value)} />
              {label}
            </label>
          ))}
        </div>
      </section>
      <section aria-labelledby="windows">
        <h3 id="windows">Windows</h3>
        <p class="hint">
          A window with another name is another person. With the same name and another device it is a second device of
          yours, with keys of its own.
        </p>
        <div class="row">
          <a class="button" href="/app/" target="_blank" rel="noopener">
            <Icon name="open" />
            Open as another person<span class="hidden-text"> (opens a new tab)</span>
          </a>
          {config.control !== undefined && (
            <a class="button" href={next} target="_blank" rel="noopener">
              <Icon name="open" />
              Open as another device<span class="hidden-text"> (opens a new tab)</span>
            </a>
          )}
        </div>
      </section>
      <Devices model={model} />
      <PushSection model={model} />
      <section aria-labelledby="log-out">
        <h3 id="log-out">Log out</h3>
        <p class="hint">
          Erases the keys and messages of the device “<bdi>{device}</bdi>”. What it has not sent is lost. The
          conversations stay with the other devices.
        </p>
        <div class="row">
          <ConfirmButton label="Log out and erase" confirm="Really erase" onConfirm={() => chat.logOut()} />
        </div>
      </section>
    </Sheet>
  );
}

/** The devices of the user that the service knows. */
function Devices({ model }: { readonly model: ChatModel }): JSX.Element {
  const { chat, device: own } = model.session;
  const [devices, setDevices] = useState<readonly Device[] | undefined>(undefined);
  const [problem, setProblem] = useState<ProblemWords | undefined>(undefined);
  const load = async (): Promise<void> => {
    try {
      setDevices(await chat.devices());
      setProblem(undefined);
    } catch (error) {
      setProblem(wordsOf(error));
    }
  };
  useEffect(() => void load(), [chat]);
  return (
    <section aria-labelledby="devices">
      <h3 id="devices">Your devices</h3>
      <Problem words={problem} />
      {devices === undefined && problem === undefined && (
        <p class="row hint is-late" role="status">
          <span class="spinner" /> Loading …
        </p>
      )}
      <ul>
        {devices?.map(({ device, seenAt }) => (
          <li key={device} class="device">
            <span class="long-text">
              <bdi>{device}</bdi>
              <span class="hint">
                {device === own ? ' (this one)' : ` · last here ${shortDateOf(Date.parse(seenAt), Date.now())}`}
              </span>
            </span>
            {device !== own && (
              <ConfirmButton
                isSmall
                label="Remove"
                confirm="Really remove"
                of={device}
                onConfirm={async () => {
                  await chat.forgetDevice(device);
                  await load();
                }}
              />
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
