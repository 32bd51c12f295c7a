import DefaultTheme from 'vitepress/theme';
import { Diagram } from './diagram.mjs';
import './tables.css';

export default {
  extends: DefaultTheme,
  enhanceApp: ({ app }) => void app.component('Diagram', Diagram),
};
