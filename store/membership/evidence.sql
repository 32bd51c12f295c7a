-- Evidence. A member is proven since it first acted under its own token after it joined: by its own external commit, an accepted
-- message, proposal or commit, or an acknowledged Welcome; the creator by creating. A ratchet tree proves nobody.

-- Since when a member is proven; null = it is not.
create or replace function proven_since(m member) returns timestamptz
language sql stable as $$
  select least(m.proven_at, (
    select at from proof where conversation = m.conversation and user_id = m.user_id and seq >= m.joined_seq limit 1))
$$;

-- Notes that a member acted. Messages note it with the read position of their sender.
create or replace function prove_member(c conversation, p_user text) returns void
language sql volatile as $$
  update member set proven_at = c.last_at where conversation = c.key and user_id = p_user and proven_at is null
$$;

-- Notes that a user acknowledged a Welcome of the commit p_seq, without any lock of the conversation or of its members. The first
-- one of a membership counts.
create or replace function prove_by_welcome(p_conversation bigint, p_user text, p_seq bigint) returns void
language sql volatile as $$
  insert into proof as p (conversation, user_id, seq)
    select p_conversation, p_user, p_seq from member
    where conversation = p_conversation and user_id = p_user and left_seq is null and joined_seq <= p_seq
    on conflict (conversation, user_id) do update set seq = excluded.seq, at = excluded.at
      where p.seq < (select joined_seq from member where conversation = p_conversation and user_id = p_user limit 1)
$$;

-- Of these users the current members who are not proven. Those with a pending join after a reset are left out: a reset gave them
-- their place, and a commit gives them their first leaf.
create or replace function unproven_members_among(p_conversation bigint, p_users text[]) returns text[]
language sql stable as $$
  select array(select user_id from member m
    where conversation = p_conversation and user_id = any (p_users) and left_seq is null and not awaited and proven_since(m) is null)
$$;
