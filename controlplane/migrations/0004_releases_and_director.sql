-- What Version Storage (R) lists, as last read and verified, and what each node was told (D).

create table releases (
  id              text primary key,
  product         text not null,
  version         text not null,
  release_seq     bigint not null,
  security_epoch  bigint not null,
  manifest_path   text not null,
  manifest_length bigint not null,
  manifest_sha256 bytea not null,
  manifest_custom jsonb not null,
  manifest        jsonb not null,
  listed          boolean not null default true,   -- false: R no longer names it
  synced_at       timestamptz not null default now(),
  created_at      timestamptz not null default now(),
  unique (product, version)
);

create table artifacts (
  id          text primary key,
  release_id  text not null references releases (id),
  os          text not null,
  arch        text not null,
  libc        text not null,
  target_path text not null,
  length      bigint not null,
  sha256      bytea not null,
  custom      jsonb not null,
  unique (release_id, target_path)
);

create table release_channels (
  product         text not null,
  channel         text not null,
  version         text not null,
  manifest_sha256 bytea not null,
  min_epoch       bigint not null default 0,
  history         jsonb not null default '[]',
  synced_at       timestamptz not null default now(),
  primary key (product, channel)
);

-- Signed metadata per node, newest few sets: a node may still fetch the files that its timestamp
-- named a moment ago. Versions only grow.
create table node_directors (
  node_id           text not null references nodes (id),
  timestamp_version bigint not null,
  snapshot_version  bigint not null,
  targets_version   bigint not null,
  built_for_seq     bigint not null,     -- nodes.desired_seq it answers to
  content_sha256    bytea not null,
  files             jsonb not null,      -- metadata file name -> text
  documents         jsonb not null,      -- target path -> text of the snap/ targets
  signed_at         timestamptz not null,
  primary key (node_id, timestamp_version)
);
