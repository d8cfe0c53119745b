-- The mesh: keys of its processes, what nodes say of their links, what the owner wants of routes.

-- One row per cluster, made when the mesh of the cluster is first touched. `policy` has what the
-- owner set; what is absent has the defaults of docs/contracts/mesh-directory.md. Whatever changes a
-- directory locks the row and brings `due_at` forward: then the next round of maintenance looks at
-- the whole cluster once and wakes the nodes whose directory became another.
create table mesh_clusters (
  cluster_id text primary key references clusters (id),
  policy     jsonb not null default '{}',
  revision   bigint not null default 1,
  generation bigint not null default 0,
  due_at     timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

-- What the owner says of a node in the mesh.
create table mesh_nodes (
  node_id          text primary key references nodes (id),
  cluster_id       text not null references clusters (id),
  region           text,                              -- null: the cluster's
  trust            text not null default 'normal' check (trust in ('quarantined', 'low', 'normal', 'high')),
  avoid            integer not null default 0 check (avoid between 0 and 1000),
  draining         boolean not null default false,
  thin             boolean not null default false,
  bootstrap        boolean not null default false,
  revision         bigint not null default 1,
  issued_since     timestamptz,                       -- certificates are counted by the hour
  issued_count     integer not null default 0
);
create index mesh_nodes_by_cluster on mesh_nodes (cluster_id);

-- "Where the sessions of this organization run": what people see instead of a node.
create table mesh_services (
  id              text primary key,
  cluster_id      text not null,
  node_id         text not null,
  organization_id text not null references organizations (id),
  created_at      timestamptz not null default now(),
  unique (cluster_id, node_id, organization_id),
  foreign key (cluster_id, node_id) references cluster_memberships (cluster_id, node_id)
);

-- Keys of a node's mesh process that have a certificate: of each purpose, and of each service, the
-- one in use and the next.
create table mesh_keys (
  spki_sha256        bytea primary key,
  cluster_id         text not null,
  node_id            text not null,
  purpose            text not null check (purpose in ('mesh', 'entry', 'service')),
  service_id         text references mesh_services (id),
  organization_id    text references organizations (id),
  certificate_serial text not null unique,
  not_before         timestamptz not null,
  not_after          timestamptz not null,
  issued_at          timestamptz not null,
  check ((purpose = 'service') = (service_id is not null)),
  check ((purpose = 'service') = (organization_id is not null)),
  foreign key (cluster_id, node_id) references cluster_memberships (cluster_id, node_id)
);
create index mesh_keys_by_cluster on mesh_keys (cluster_id, node_id);
create index mesh_keys_by_end on mesh_keys (not_after);

-- The newest report of a node, as one row: links are its word about its own ends of them.
create table mesh_reports (
  node_id          text primary key references nodes (id),
  cluster_id       text not null references clusters (id),
  boot_id          text not null,
  previous_boot_id text not null default '',
  seq              bigint not null,
  received_at      timestamptz not null,
  endpoints        jsonb not null default '[]',
  attached         jsonb not null default '[]',
  load_permille    integer,
  told_load        integer,                           -- what directories say: moves in steps
  draining         boolean not null default false,
  links            jsonb not null default '[]'
) with (fillfactor = 50);
create index mesh_reports_by_cluster on mesh_reports (cluster_id);

create table mesh_link_events (
  id          text primary key,
  cluster_id  text not null references clusters (id),
  node_id     text not null references nodes (id),
  peer_id     text not null references nodes (id),
  state       text not null check (state in ('up', 'down')),
  since       timestamptz not null,
  received_at timestamptz not null
);
create index mesh_link_events_by_cluster on mesh_link_events (cluster_id, id);
create index mesh_link_events_by_node on mesh_link_events (node_id, received_at);
create index mesh_link_events_by_age on mesh_link_events (received_at);

-- What each node's directory said when it was last woken for it.
create table mesh_directories (
  node_id    text primary key references nodes (id),
  cluster_id text not null references clusters (id),
  sha256     bytea not null
);

-- Route intents and limits of an organization in a cluster.
create table mesh_organizations (
  cluster_id      text not null references clusters (id),
  organization_id text not null references organizations (id),
  regions         jsonb not null default '[]',
  trust_min       text not null default 'low' check (trust_min in ('low', 'normal', 'high')),
  relays_max      integer not null default 3 check (relays_max between 0 and 3),
  own_relays_only boolean not null default false,
  streams_max     integer not null default 0 check (streams_max between 0 and 1000000),
  kbytes_per_s    integer not null default 0 check (kbytes_per_s between 0 and 100000000),
  revision        bigint not null default 1,
  updated_at      timestamptz not null default now(),
  primary key (cluster_id, organization_id)
);

create table egress_pools (
  id         text primary key,
  cluster_id text not null references clusters (id),
  name       text not null,
  everybody  boolean not null default false,
  revision   bigint not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (cluster_id, name)
);
create table egress_pool_members (
  pool_id text not null references egress_pools (id) on delete cascade,
  node_id text not null references nodes (id),
  primary key (pool_id, node_id)
);
create table egress_pool_organizations (
  pool_id         text not null references egress_pools (id) on delete cascade,
  organization_id text not null references organizations (id),
  primary key (pool_id, organization_id)
);
create index egress_pool_organizations_by_organization on egress_pool_organizations (organization_id);

alter table mesh_services             enable row level security;
alter table mesh_services             force row level security;
alter table mesh_keys                 enable row level security;
alter table mesh_keys                 force row level security;
alter table mesh_organizations        enable row level security;
alter table mesh_organizations        force row level security;
alter table egress_pool_organizations enable row level security;
alter table egress_pool_organizations force row level security;

create policy mesh_services_scope on mesh_services using (rap_in_scope(organization_id));
-- Keys that are no organization's are the platform's.
create policy mesh_keys_scope on mesh_keys using (rap_in_scope(coalesce(organization_id, '*')));
create policy mesh_organizations_scope on mesh_organizations using (rap_in_scope(organization_id));
create policy egress_pool_organizations_scope on egress_pool_organizations using (rap_in_scope(organization_id));
