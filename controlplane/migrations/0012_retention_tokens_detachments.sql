-- Sessions that are over go after some months, oldest first (the audit chain keeps what happened).
create index sessions_over_by_age on sessions (closed_at) where state in ('closed', 'failed');

-- A token of a person has a name by which it is shown and revoked; the hash stays what it is found by.
alter table auth_sessions add column id text;
update auth_sessions set id = 'ust_0' || left(encode(sha256(token_hash), 'hex'), 25);
alter table auth_sessions alter column id set not null;
create unique index auth_sessions_ids on auth_sessions (id);

-- Who must no longer be attached to a live session, because they left its organization or may not
-- log in any more. Its node hears of it until the session is over or the person is back.
create table session_detachments (
  session_id      text not null references sessions (id) on delete cascade,
  user_id         text not null references users (id),
  organization_id text not null references organizations (id),
  node_id         text not null references nodes (id),
  requested_at    timestamptz not null,
  primary key (session_id, user_id)
);
create index session_detachments_by_node on session_detachments (node_id);
create index session_detachments_by_user on session_detachments (user_id);
alter table session_detachments enable row level security;
alter table session_detachments force row level security;
create policy session_detachments_scope on session_detachments using (rap_in_scope(organization_id));
