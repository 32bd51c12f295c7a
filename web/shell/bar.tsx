import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { ChatModel } from '../chat/chat-model.ts';
import { Avatar } from '../parts/avatar.tsx';
import { Icon } from '../parts/icon.tsx';
import { hasNoNetwork, isCut } from './network.ts';
import { SettingsSheet } from './settings-sheet.tsx';
import type { Theme } from './theme.ts';
import { theme } from './theme.ts';
import { DEFAULT_DEVICE } from './window-identity.ts';

const NEXT: Readonly<Record<Theme, Theme>> = { auto: 'light', light: 'dark', dark: 'auto' };
const THEME_ICONS = { auto: 'auto', light: 'sun', dark: 'moon' } as const;
const THEME_WORDS: Readonly<Record<Theme, string>> = {
  auto: 'Colours of the system',
  light: 'Light colours',
  dark: 'Dark colours',
};

/** The bar on top: who is here, and whether the service can be reached. */
export function Bar({ model }: { readonly model: ChatModel }): JSX.Element {
  const [hasSettings, setSettings] = useState(false);
  const { user, device } = model.session;
  return (
    <header class="bar">
      <h1 class="brand">
        <img src="/app/icon.svg" alt="" />
        <span>Parley</span>
      </h1>
      <Connection model={model} />
      <span class="grow" />
      <p class="who">
        <Avatar user={user} isSmall />
        <span class="cut">
          <span class="hidden-text">You are </span>
          <bdi title={user}>{user}</bdi>
          {device !== DEFAULT_DEVICE && (
            <span class="hint">
              {' '}
              on <bdi>{device}</bdi>
            </span>
          )}
        </span>
      </p>
      <button
        type="button"
        class="icon-button"
        aria-label={`${THEME_WORDS[theme.value]}. Change`}
        title={THEME_WORDS[theme.value]}
        onClick={() => (theme.value = NEXT[theme.value])}
      >
        <Icon name={THEME_ICONS[theme.value]} />
      </button>
      <button
        type="button"
        class="icon-button"
        aria-label="Settings"
        title="Settings"
        onClick={() => setSettings(true)}
      >
        <Icon name="settings" />
      </button>
      {hasSettings && <SettingsSheet model={model} onClose={() => setSettings(false)} />}
    </header>
  );
}

function Connection({ model }: { readonly model: ChatModel }): JSX.Element {
  const { connection } = model.state.value;
  const [words, look] = isCut.value
    ? ['Network cut', 'is-offline']
    : {
        online: ['Online', 'is-online'],
        connecting: ['Connecting …', ''],
        offline: ['Offline, trying again', 'is-offline'],
      }[hasNoNetwork.value ? 'offline' : connection];
  return (
    <p class={`connection ${look ?? ''}`} role="status" title={model.trouble.value?.text}>
      <span class="cut">{words}</span>
    </p>
  );
}
