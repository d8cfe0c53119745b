-- What nodes reported of themselves and is in the audit chain: known by (node, event_id) when it is
-- sent again, and looked at to hold a node to one event of a kind and subject in ten minutes.
create table node_events (
  node_id     text not null references nodes (id),
  event_id    text not null,
  kind        text not null check (kind in ('artifact_refused', 'metadata_refused', 'workload_failed',
                                            'workload_recovered', 'sandbox_degraded', 'clock_wrong')),
  subject     text not null,
  received_at timestamptz not null,
  primary key (node_id, event_id)
);
create index node_events_by_subject on node_events (node_id, kind, subject, received_at);
create index node_events_by_age on node_events (received_at);
