-- Creates a conversation: `created`. The same creator with the same content again: `duplicate`. Else the id is taken:
-- `conversation-exists`. A refusal of what it puts on its members is returned as JSON, and nothing is created.
create or replace function create_conversation(p_id text, p_protocol text, p_epoch bigint, p_creator text, p_members text[],
                                    p_policy jsonb, p_group_info bytea, p_fingerprint bytea) returns text
language plpgsql as $$
declare
  c conversation;
  v_members text[] := array(select distinct u from unnest(p_members || p_creator) u order by u);
  v_origin bytea := chain_origin(p_id, p_protocol, p_epoch);
  v_refusal jsonb;
begin
  insert into conversation (id, protocol, epoch, member_count, policy, created_by, fingerprint, chain_base, base_epoch, chain,
                            oldest_chain)
    values (p_id, p_protocol, p_epoch, cardinality(v_members), p_policy, p_creator, p_fingerprint, 0, p_epoch, v_origin, v_origin)
    on conflict (id) do nothing returning * into c;
  if not found then
    select * into c from conversation where id = p_id;
    return case when c.created_by = p_creator and c.fingerprint = p_fingerprint and c.deleted_at is null
      then 'duplicate' else 'conversation-exists' end;
  end if;
  perform lock_invitations(p_creator, array_remove(v_members, p_creator), true);
  v_refusal := coalesce(off_boarded_refusal(v_members), invitation_refusal(p_id, p_creator, v_members, '{}'));
  if v_refusal is not null then
    delete from conversation where key = c.key;
    return v_refusal;
  end if;
  insert into member (conversation, user_id, role, joined_seq, joined_epoch, read_seq, read_count, proven_at)
    select c.key, u, case when u = p_creator then 'admin' else 'member' end, 0, p_epoch, 0, 0,
           case when u = p_creator then c.created_at end
    from unnest(v_members) u;
  insert into period (conversation, user_id, from_seq) select c.key, u, 1 from unnest(v_members) u;
  perform record_invitations(c.key, p_creator, v_members);
  perform record_change(c, 'added', jsonb_build_object('users', v_members));
  if p_group_info is not null then
    insert into group_info (conversation, epoch, group_info) values (c.key, p_epoch, p_group_info);
  end if;
  return 'created';
end $$;
