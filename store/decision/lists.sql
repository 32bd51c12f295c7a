-- Comparisons of two lists of texts that clients send, up to 10,000 each. The operators for arrays (&&, @>, <@) and `<> all`
-- compare every element of one list with every one of the other: seconds, while the conversation is locked. Set operations
-- sort or hash.

-- Whether two lists have an element in common.
create or replace function overlap(p_one text[], p_other text[]) returns boolean
language plpgsql immutable as $$
begin
  -- Most lists are empty.
  return cardinality(p_one) > 0 and cardinality(p_other) > 0
    and exists (select unnest(p_one) intersect select unnest(p_other));
end $$;

-- Whether one of two lists has an element that the other does not have. Null is an empty list.
create or replace function differ(p_one text[], p_other text[]) returns boolean
language plpgsql immutable as $$
begin
  return exists (select unnest(p_one) except select unnest(p_other))
    or exists (select unnest(p_other) except select unnest(p_one));
end $$;
