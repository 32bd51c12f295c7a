import { conversations } from './conversations.ts';
import { delivery } from './delivery.ts';
import { overview } from './overview.ts';
import type { Dashboard } from './panel.ts';
import { performance } from './performance.ts';
import { postgres } from './postgres.ts';
import { temporal } from './temporal.ts';

export const DASHBOARDS: readonly Dashboard[] = [overview, conversations, delivery, performance, temporal, postgres];
