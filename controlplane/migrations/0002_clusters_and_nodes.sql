-- Clusters, how nodes join them, what nodes can do, may do and say they do.

create table clusters (
  id         text primary key,
  name       text not null,
  slug       text not null unique,
  status     text not null default 'active' check (status in ('active', 'archived')),
  region     text,
  metadata   jsonb not null default '{}',
  revision   bigint not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

-- Keys that act for a cluster. Private halves are sealed with the key that lives in the data folder
-- of the servers, so neither a dump of this table nor that file alone signs anything.
create table cluster_keys (
  cluster_id      text not null references clusters (id),
  purpose         text not null check (purpose in ('ca', 'lease', 'director-root', 'director-targets',
                                                   'director-snapshot', 'director-timestamp')),
  public_key      bytea not null,
  sealed_private  bytea not null,
  certificate_pem text,
  created_at      timestamptz not null default now(),
  primary key (cluster_id, purpose)
);

create table cluster_director_roots (
  cluster_id text not null references clusters (id),
  version    bigint not null,
  document   text not null,
  primary key (cluster_id, version)
);

create table node_groups (
  id         text primary key,
  cluster_id text not null references clusters (id),
  parent_id  text,
  name       text not null,
  revision   bigint not null default 1,
  created_at timestamptz not null default now(),
  unique (cluster_id, id),
  foreign key (cluster_id, parent_id) references node_groups (cluster_id, id)
);
create unique index node_groups_names on node_groups (cluster_id, coalesce(parent_id, ''), name);

create table nodes (
  id                text primary key,
  name              text not null,
  enrollment_status text not null default 'approved' check (enrollment_status in ('approved', 'revoked')),
  facts             jsonb not null default '{}',
  desired_seq       bigint not null default 1,   -- grows with every change the node must hear of
  revision          bigint not null default 1,
  created_at        timestamptz not null default now(),
  updated_at        timestamptz not null default now()
);

-- When a node was last seen is node_heartbeat_latest.received_at.
create table cluster_memberships (
  cluster_id        text not null references clusters (id),
  node_id           text not null references nodes (id),
  membership_status text not null check (membership_status in ('active', 'disabled', 'revoked')),
  status_reason     text,
  health            text not null default 'unknown' check (health in ('unknown', 'healthy', 'silent')),
  group_id          text,
  joined_at         timestamptz not null default now(),
  metadata          jsonb not null default '{}',
  primary key (cluster_id, node_id),
  foreign key (cluster_id, group_id) references node_groups (cluster_id, id)
);
create index cluster_memberships_by_node on cluster_memberships (node_id);
create index cluster_memberships_by_group on cluster_memberships (group_id);

-- One row per certificate that was issued. A certificate is accepted because it is in this table,
-- in force and not revoked; its private key is never here.
create table node_identities (
  certificate_sha256     bytea primary key,
  cluster_id             text not null,
  node_id                text not null,
  public_key             bytea not null,         -- SubjectPublicKeyInfo, DER
  fingerprint            bytea not null,         -- SHA-256 of public_key
  certificate_serial     text not null unique,
  certificate_not_before timestamptz not null,
  certificate_not_after  timestamptz not null,
  certificate_pem        text not null,
  identity_status        text not null check (identity_status in ('active', 'superseded', 'revoked')),
  issued_at              timestamptz not null default now(),
  rotated_at             timestamptz,
  revoked_at             timestamptz,
  foreign key (cluster_id, node_id) references cluster_memberships (cluster_id, node_id)
);
create unique index node_identities_active on node_identities (cluster_id, node_id)
  where identity_status = 'active';
create index node_identities_by_fingerprint on node_identities (fingerprint);

create table node_join_tokens (
  id                 text primary key,
  cluster_id         text not null references clusters (id),
  token_hash         bytea not null,
  scope              jsonb not null default '{}',
  expires_at         timestamptz not null,
  max_uses           integer not null check (max_uses >= 1),
  used_count         integer not null default 0 check (used_count <= max_uses),
  created_by_user_id text not null references users (id),
  revoked_at         timestamptz,
  created_at         timestamptz not null default now()
);
create index node_join_tokens_by_cluster on node_join_tokens (cluster_id, id);

create table node_join_requests (
  id                    text primary key,
  cluster_id            text not null references clusters (id),
  token_id              text not null references node_join_tokens (id),
  node_name             text not null,
  node_fingerprint      bytea not null,
  public_key            bytea not null,
  reported_capabilities jsonb not null,
  reported_facts        jsonb not null,
  requested_roles       jsonb not null,
  agent_version         text not null,
  address               text not null,
  status                text not null check (status in ('pending', 'approved', 'rejected')),
  reviewed_by_user_id   text references users (id),
  reviewed_at           timestamptz,
  approved_node_id      text references nodes (id),
  rejection_reason      text,
  created_at            timestamptz not null default now()
);
create index node_join_requests_by_cluster on node_join_requests (cluster_id, id);
-- A key belongs to one node of the installation, whichever token brings it.
create unique index node_join_requests_key on node_join_requests (node_fingerprint)
  where status in ('pending', 'approved');

create table node_capabilities (
  node_id     text not null references nodes (id),
  name        text not null,
  detail      jsonb not null default '{}',
  reported_at timestamptz not null default now(),
  primary key (node_id, name)
);

create table node_role_assignments (
  id                  text primary key,
  cluster_id          text not null,
  node_id             text not null,
  role                text not null,
  organization_id     text references organizations (id),
  status              text not null default 'active' check (status in ('active', 'removed')),
  policy              jsonb not null default '{}',
  authority_term      bigint not null,
  assigned_by_user_id text not null references users (id),
  assigned_at         timestamptz not null default now(),
  removed_at          timestamptz,
  foreign key (cluster_id, node_id) references cluster_memberships (cluster_id, node_id)
);
create unique index node_role_assignments_once
  on node_role_assignments (cluster_id, node_id, role, coalesce(organization_id, ''))
  where status = 'active';
create index node_role_assignments_by_node on node_role_assignments (node_id) where status = 'active';

-- What the agent says about the workload of an assignment. Desired state follows the assignment.
create table node_service_instances (
  service_instance_id text primary key,          -- the assignment's id
  cluster_id          text not null references clusters (id),
  node_id             text not null references nodes (id),
  service_type        text not null,
  desired_state       text not null check (desired_state in ('running', 'stopped')),
  reported_state      text not null,
  detail              text not null default '',
  version             text not null default '',
  pid                 bigint,
  last_heartbeat_at   timestamptz not null,
  metadata            jsonb not null default '{}'
);
create index node_service_instances_by_node on node_service_instances (node_id);

-- Append-only observations, one partition-friendly key; old rows are dropped by age.
create table node_heartbeats (
  received_at timestamptz not null,
  node_id     text not null,
  cluster_id  text not null,
  boot_id     text not null,
  sent_at     timestamptz not null,
  payload     jsonb not null
);
create index node_heartbeats_by_node on node_heartbeats (node_id, received_at desc);
create index node_heartbeats_by_age on node_heartbeats using brin (received_at);

create table node_heartbeat_latest (
  node_id          text primary key references nodes (id),
  cluster_id       text not null,
  boot_id          text not null,
  sent_at          timestamptz not null,
  received_at      timestamptz not null,
  agent_version    text not null,
  mesh_endpoint    text not null,
  director_version bigint not null,
  payload          jsonb not null
) with (fillfactor = 50);
