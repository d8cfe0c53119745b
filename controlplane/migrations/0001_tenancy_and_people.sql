-- Organizations, people, what they may do, and the state of authority of this installation.

-- One row. Writes that matter for trust are refused while `state` is not healthy; the term goes into
-- every signed document and audit event, and never becomes lower.
create table authority (
  singleton  boolean primary key default true check (singleton),
  term       bigint not null check (term >= 1),
  state      text not null check (state in ('healthy', 'degraded', 'recovery', 'isolated')),
  changed_at timestamptz not null default now()
);
insert into authority (term, state) values (1, 'healthy');

create table organizations (
  id         text primary key,
  name       text not null,
  slug       text not null unique,
  status     text not null default 'active' check (status in ('active', 'suspended')),
  revision   bigint not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create table users (
  id             text primary key,
  login          text not null unique check (login = lower(login)),
  display_name   text not null,
  password_hash  text not null,
  is_owner       boolean not null default false,
  status         text not null default 'active' check (status in ('active', 'disabled')),
  totp_secret    bytea,                       -- sealed; set while enrolling, too
  totp_enabled   boolean not null default false,
  totp_last_step bigint not null default 0,   -- a code is accepted once
  revision       bigint not null default 1,
  created_at     timestamptz not null default now(),
  updated_at     timestamptz not null default now()
);

create table memberships (
  id              text primary key,
  organization_id text not null references organizations (id),
  user_id         text not null references users (id),
  role            text not null check (role in ('admin', 'member')),
  created_at      timestamptz not null default now(),
  unique (organization_id, user_id)
);
create index memberships_by_user on memberships (user_id);

-- Tokens of people; only the SHA-256 is here.
create table auth_sessions (
  token_hash bytea primary key,
  user_id    text not null references users (id),
  address    text not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  revoked_at timestamptz
);
create index auth_sessions_by_user on auth_sessions (user_id);
create index auth_sessions_by_expiry on auth_sessions (expires_at);

-- Answers of creates, to be given again. Sealed, because some answers show a secret once.
create table idempotency_keys (
  principal   text not null,
  key         text not null,
  route       text not null,
  body_sha256 bytea not null,
  status      integer,
  response    bytea,
  created_at  timestamptz not null default now(),
  primary key (principal, key)
);
create index idempotency_keys_by_age on idempotency_keys (created_at);
