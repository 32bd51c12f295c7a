import type { Alert } from './rule.ts';
import type { Times } from './times.ts';

/** Conversations: restarts, queues, epochs, runs, and what is due. */
export function conversationAlerts(t: Times): readonly Alert[] {
  const rate = (selector: string): string => `sum(rate(${selector}[${t.window('5m')}]))`;
  return [
    {
      alert: 'ParleyActorRestartRateHigh',
      expr: `${rate('actor_restarts_total{reason!="continue-as-new"}')} > 1`,
      // Longer than the window: a deploy of workers, which rebuilds every conversation once, is no reason.
      for: '10m',
      severity: 'warning',
      summary: 'Conversations are rebuilt again and again',
      description: '{{ $value | humanize }} conversations per second are rebuilt from their histories.',
    },
    {
      alert: 'ParleyActorMailboxBacklog',
      expr: 'sum(actor_mailbox_depth{job="api"}) > 1000 or max(parley_oldest_operation_seconds{job="api"}) > 5',
      for: '1m',
      severity: 'critical',
      summary: 'Operations pile up before their decisions',
      description:
        'More than 1000 operations wait, or one has waited for more than 5 seconds (now {{ $value | humanize }}).',
    },
    {
      alert: 'ParleyActorMailboxFull',
      expr: `${rate('actor_mailbox_full_events_total')} > 1`,
      for: '5m',
      severity: 'warning',
      summary: 'Mailboxes are full and refuse operations',
      description: '{{ $value | humanize }} operations per second are refused because a mailbox is full.',
    },
    {
      alert: 'ParleyActorUnresponsive',
      expr: 'parley:decision_seconds:p95 > 1',
      for: '5m',
      severity: 'critical',
      summary: 'Conversations answer slowly',
      description: 'Of 20 operations one takes longer than {{ $value | humanizeDuration }}.',
    },
    {
      alert: 'ParleyEpochConflictDetected',
      expr: 'min(parley_epoch_guard) == 0',
      for: '0s',
      severity: 'critical',
      summary: 'Nothing in the database forbids a second commit in an epoch',
      description: 'The unique index entry_commit_epoch is missing or not valid.',
    },
    {
      alert: 'ParleyEpochConflictSpike',
      expr: `${rate('epoch_conflicts_total')} > 1 and parley:epoch_conflicts:ratio_rate5m > 0.5`,
      for: '10m',
      severity: 'warning',
      summary: 'Most commits lose against another commit',
      description: '{{ $value | humanize }} commits per second are refused, more than are accepted.',
    },
    {
      alert: 'ParleyOperationsEndWithoutDecision',
      expr: `${rate('actor_message_drops_total')} > 1`,
      for: '5m',
      severity: 'warning',
      summary: 'Operations end without a decision',
      description: '{{ $value | humanize }} operations per second. The label `reason` says why.',
    },
    {
      alert: 'ParleyWorkflowRunsFailed',
      expr: 'max(parley_workflow_runs_failed) > 0',
      for: '0s',
      severity: 'critical',
      summary: 'Runs of conversations failed within the last hour',
      description: '{{ $value }} runs. A worker cannot replay them: mostly a bad deploy.',
    },
    {
      alert: 'ParleyWorkflowTasksFail',
      expr: `${rate('temporal_workflow_task_execution_failed{job="worker-sdk"}')} > 0`,
      for: '5m',
      severity: 'critical',
      summary: 'Workflow tasks fail again and again',
      description: '{{ $value | humanize }} workflow tasks per second fail. Their conversations cannot continue.',
    },
    {
      alert: 'ParleyConversationsWedged',
      expr: 'max(parley_wedged_conversations) > 0',
      for: '2m',
      severity: 'warning',
      summary: 'The workflows of some conversations do not answer',
      description: '{{ $value }} conversations. They are decided directly while others are not affected.',
    },
    {
      alert: 'ParleyBreakerOpen',
      expr: 'max(parley_breaker_open) > 0',
      for: '1m',
      severity: 'warning',
      summary: 'Temporal does not answer an API process',
      description: 'Conversations are decided directly, without their workflows.',
    },
    {
      alert: 'ParleySupervisorAbsent',
      expr: 'max(parley_supervisor_silent_seconds) > 150',
      for: '1m',
      severity: 'critical',
      summary: 'The supervisor does not work',
      description: 'It has been silent for {{ $value | humanizeDuration }}. Nobody mends conversations in trouble.',
    },
    {
      alert: 'ParleySupervisorDegraded',
      expr: 'max(parley_supervisor_degraded) > 0',
      for: '0s',
      severity: 'critical',
      summary: 'The supervisor has stopped restarting conversations',
      description: 'Restarts did not help, or too many were needed. A person has to look.',
    },
    {
      alert: 'ParleyConversationsOverdue',
      expr: `max(parley_overdue_seconds) > ${t.seconds('10m')}`,
      for: '5m',
      severity: 'warning',
      summary: 'What conversations have to do by time is not done',
      description: 'The oldest due time is {{ $value | humanizeDuration }} past: retention and expiry stand still.',
    },
    {
      alert: 'ParleyIncrementsNotCounted',
      expr: `max(parley_pending_increments_oldest_seconds) > ${t.seconds('5m')}`,
      for: '5m',
      severity: 'warning',
      summary: 'Increments of unread counts were answered and are not counted',
      description: 'The oldest waits for {{ $value | humanizeDuration }}.',
    },
    {
      alert: 'ParleyDeliveryLagHigh',
      expr: 'parley:delivery_lag_seconds:p95 > 1',
      for: '5m',
      severity: 'warning',
      summary: 'Entries reach open streams late',
      description: 'Of 20 entries one needs longer than {{ $value | humanizeDuration }} to its stream.',
    },
  ];
}
