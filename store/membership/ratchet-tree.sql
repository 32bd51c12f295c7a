-- The ratchet tree that came with a commit or a GroupInfo, as far as its users matter: which users have leaves in it.

-- Null when the users in a ratchet tree are those whom the group should have after p_adds and p_removes. A user with a pending
-- removal may still be there. A user with a pending join may be missing, and one whose last leaf should go with its device.
create or replace function ratchet_tree_refusal(c conversation, p_leaves text[], p_adds text[], p_removes text[]) returns jsonb
language plpgsql as $$
begin
  if exists (
    select unnest(p_leaves)
    except (
      select user_id from member where conversation = c.key and (left_seq is null or leaving)
      except select unnest(p_removes))
    except select unnest(p_adds))
  then
    return refusal('membership-mismatch', '{"detail": "The ratchet tree has a leaf of somebody who is no member"}');
  end if;
  if exists (
    (select user_id from member where conversation = c.key and left_seq is null and not awaited
     except select unnest(p_removes)
     except select unnest(members_losing_last_leaf(c.key))
     union select unnest(p_adds))
    except select unnest(p_leaves))
  then
    return refusal('membership-mismatch', '{"detail": "The ratchet tree has no leaf of somebody who is a member"}');
  end if;
  return null;
end $$;

-- Ends pending removals and pending joins after a commit. A tree shows who is gone and who has come; without a tree only
-- p_present are known to be there.
create or replace function settle_leaves(p_conversation bigint, p_leaves text[], p_present text[]) returns void
language plpgsql as $$
declare
  v_gone text[];
begin
  if p_leaves is not null then
    v_gone := array(select user_id from member where conversation = p_conversation and leaving except select unnest(p_leaves));
    if cardinality(v_gone) > 0 then
      update member set leaving = false where conversation = p_conversation and user_id = any (v_gone);
      perform forget_leaves(p_conversation, v_gone);
    end if;
    update member set awaited = false where conversation = p_conversation and awaited and user_id = any (p_leaves);
  else
    update member set awaited = false where conversation = p_conversation and awaited and user_id = any (p_present);
  end if;
end $$;
