-- Texts of a JSON array, each once, sorted; {} when there is no array.
create or replace function json_texts(p_array jsonb) returns text[]
language plpgsql immutable as $$
begin
  -- Most arrays of most operations are not there.
  if p_array is null then return '{}'; end if;
  return array(select distinct t from jsonb_array_elements_text(p_array) t order by t);
end $$;

-- Bytes of a JSON array of lower-case hex, each once, sorted.
create or replace function hex_list(p_array jsonb) returns bytea[]
language plpgsql immutable as $$
begin
  if p_array is null then return '{}'; end if;
  return array(select distinct decode(t, 'hex') from jsonb_array_elements_text(p_array) t order by 1);
end $$;
