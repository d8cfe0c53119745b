-- The top-level targets role of R as the last reading of Version Storage verified it: which keys each
-- delegated role has, `trust` among them, whose holders countersign the first director root of a cluster.
create table release_delegations (
  one_row   boolean primary key default true check (one_row),
  targets   text not null,
  synced_at timestamptz not null
);
