import { type Dashboard, quantiles } from './panel.ts';

export const conversations: Dashboard = {
  name: 'conversations',
  title: 'Parley: conversations and epochs',
  description: 'Lives of conversations, their queues, and races of commits.',
  rows: [
    {
      title: 'Lives',
      panels: [
        {
          title: 'Starts and stops',
          description: 'Conversation workflows that start and complete, per second.',
          unit: 'ops',
          queries: [
            { expr: 'sum(rate(actor_spawns_total[w]))', legend: 'starts' },
            { expr: 'sum by (reason) (rate(actor_stops_total[w]))', legend: 'stops: {{reason}}' },
          ],
        },
        {
          title: 'Restarts by reason',
          description: '`continue-as-new` is normal. `replay`: a worker ended, or its cache is too small.',
          unit: 'ops',
          alarm: 10,
          queries: [{ expr: 'sum by (reason) (rate(actor_restarts_total[w]))', legend: '{{reason}}' }],
        },
        {
          title: 'Runs that failed',
          description: 'Within the last hour. Normal: 0.',
          unit: 'short',
          alarm: 1,
          queries: [{ expr: 'max(parley_workflow_runs_failed)', legend: 'runs' }],
        },
        {
          title: 'In trouble',
          description: 'Conversations by sign of trouble, and what the supervisor does about it. Normal: 0.',
          unit: 'short',
          queries: [
            { expr: 'max by (sign) (parley_conversations_in_trouble)', legend: '{{sign}}' },
            {
              expr: 'sum by (action) (increase(parley_supervisor_actions_total[w]))',
              legend: 'supervisor: {{action}}',
            },
          ],
        },
        {
          title: 'Supervisor',
          description: 'Time since its last sign. Normal: below 90 s.',
          unit: 's',
          alarm: 150,
          queries: [{ expr: 'max(parley_supervisor_silent_seconds)', legend: 'silent' }],
        },
        {
          title: 'What is due',
          description: 'Conversations whose due time is past, and by how much. Normal: below a minute.',
          unit: 's',
          queries: [{ expr: 'max(parley_overdue_seconds)', legend: 'oldest due time' }],
        },
      ],
    },
    {
      title: 'Queues',
      panels: [
        {
          title: 'Operations that wait',
          description: 'In the queues of API processes and in the mailboxes of workflows.',
          unit: 'short',
          alarm: 1000,
          queries: [{ expr: 'sum by (job) (actor_mailbox_depth)', legend: '{{job}}' }],
        },
        {
          title: 'Age of the oldest operation',
          description: 'By API process. Normal: below 0.1 s.',
          unit: 's',
          alarm: 5,
          queries: [{ expr: 'max by (instance) (parley_oldest_operation_seconds{job="api"})', legend: '{{instance}}' }],
        },
        {
          title: 'Operations without a decision',
          description: 'By reason. Normal: 0.',
          unit: 'ops',
          alarm: 1,
          queries: [
            { expr: 'sum by (reason) (rate(actor_message_drops_total[w]))', legend: '{{reason}}' },
            { expr: 'sum(rate(actor_mailbox_full_events_total[w]))', legend: 'mailbox full' },
          ],
        },
        {
          title: 'Waits for locks of conversations',
          description: 'Somebody else holds their rows. Normal: 0, with short peaks.',
          unit: 'short',
          queries: [{ expr: 'sum by (job, state) (parley_lock_waits)', legend: '{{job}} {{state}}' }],
        },
      ],
    },
    {
      title: 'Epochs',
      panels: [
        {
          title: 'Commits',
          description: 'Accepted, lost against another commit, and waiting for a reservation.',
          unit: 'ops',
          queries: [
            { expr: 'sum(rate(epoch_increment_duration_seconds_count[w]))', legend: 'accepted' },
            { expr: 'sum(rate(epoch_conflicts_total[w]))', legend: 'conflicts' },
            { expr: 'sum(rate(parley_commits_deferred_total[w]))', legend: 'deferred' },
          ],
        },
        {
          title: 'Time to an accepted commit',
          description: 'Normal: p95 below 0.2 s.',
          unit: 's',
          queries: quantiles('epoch_increment_duration_seconds'),
        },
        {
          title: 'One commit per epoch',
          description: '1 = the database forbids a second one. Never 0.',
          unit: 'short',
          isNumber: true,
          queries: [{ expr: 'min(parley_epoch_guard)', legend: 'guard' }],
        },
        {
          title: 'Increments that are not counted yet',
          description: 'Age of the oldest. Normal: below a minute.',
          unit: 's',
          queries: [{ expr: 'max(parley_pending_increments_oldest_seconds)', legend: 'oldest' }],
        },
      ],
    },
  ],
};
