import './styles/tokens.css';
import './styles/base.css';
import './styles/layout.css';
import './styles/chat.css';
import { render } from 'preact';
// Components that read a signal are shown again when it changes.
import '@preact/signals';
import { App } from './shell/app.tsx';
import { installNetworkSwitch } from './shell/network.ts';
import { applyTheme } from './shell/theme.ts';

const root = document.getElementById('app');
if (root === null) throw new Error('index.html has no #app');
installNetworkSwitch();
applyTheme();
render(<App />, root);
