-- Evidence: what a member did under its own token. A ratchet tree proves nobody, because basic credentials are self-made.

alter table member
  -- since when the member is proven: it acted under its own token since it joined. Null = not yet
  add column proven_at timestamptz;
