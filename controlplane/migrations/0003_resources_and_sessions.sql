-- What organizations own, and the sessions on it.

-- A secret's value is sealed; the additional data binds it to its organization and id.
create table secrets (
  id                 text primary key,
  organization_id    text not null references organizations (id),
  name               text not null,
  sealed_value       bytea not null,
  created_by_user_id text not null references users (id),
  created_at         timestamptz not null default now(),
  unique (organization_id, name),
  unique (organization_id, id)
);

create table resources (
  id              text primary key,
  organization_id text not null references organizations (id),
  cluster_id      text not null references clusters (id),
  name            text not null,
  protocol        text not null,
  target          jsonb not null,
  secret_ref      text,
  options         jsonb not null default '{}',
  revision        bigint not null default 1,
  created_at      timestamptz not null default now(),
  updated_at      timestamptz not null default now(),
  deleted_at      timestamptz,
  foreign key (organization_id, secret_ref) references secrets (organization_id, id)
);
create unique index resources_names on resources (organization_id, name) where deleted_at is null;
create index resources_by_cluster on resources (cluster_id) where deleted_at is null;

-- The worker is the reality; this is what its node last said, and what we want of it.
create table sessions (
  id                 text primary key,
  organization_id    text not null references organizations (id),
  cluster_id         text not null references clusters (id),
  node_id            text not null references nodes (id),
  assignment_id      text not null references node_role_assignments (id),
  resource_id        text not null references resources (id),
  user_id            text not null references users (id),
  state              text not null check (state in ('opening', 'active', 'detached', 'closing', 'closed', 'failed')),
  detail             text not null default '',
  controller         text,
  viewers            integer not null default 0,
  exit_status        integer,
  close_requested_by text,
  reported_at        timestamptz,
  created_at         timestamptz not null default now(),
  updated_at         timestamptz not null default now(),
  closed_at          timestamptz,
  revision           bigint not null default 1
);
create index sessions_by_organization on sessions (organization_id, id);
create index sessions_live_by_node on sessions (node_id) where state not in ('closed', 'failed');

create table session_events (
  event_id        text primary key,
  organization_id text not null references organizations (id),
  session_id      text not null references sessions (id),
  node_id         text not null references nodes (id),
  kind            text not null,
  user_id         text,
  user_name       text,
  detail          jsonb not null default '{}',
  at              timestamptz not null,
  received_at     timestamptz not null default now()
);
create index session_events_by_session on session_events (session_id, at);
