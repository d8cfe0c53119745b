-- Append-only, hash-chained per cluster ('platform' for what belongs to none). Written in the
-- transaction of the change it tells of.
create table audit_chains (
  chain_id text primary key,
  seq      bigint not null,
  hash     bytea not null
);

create table cluster_audit_events (
  chain_id        text not null,
  seq             bigint not null,
  event_id        text not null unique,
  at              timestamptz not null,
  authority_term  bigint not null,
  actor_kind      text not null check (actor_kind in ('person', 'node', 'system')),
  actor_id        text not null,
  actor_name      text not null,
  kind            text not null,
  subject         text not null,
  organization_id text,
  detail          text not null,      -- JSON exactly as hashed
  previous_hash   bytea not null,
  hash            bytea not null,
  primary key (chain_id, seq)
);
create index cluster_audit_events_by_organization on cluster_audit_events (organization_id, event_id)
  where organization_id is not null;
