-- The supervisor's own actions are read often: by operators, and by a supervisor that begins without a memory.
create index audit_supervisor on audit (key) where actor = 'supervisor';
