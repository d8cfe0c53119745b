-- The hash of a request whose answer is kept is keyed from now on: a plain one let who reads the
-- database guess the passwords and secrets that were in the request. What is there goes; a request
-- sent again across the update is done again.
delete from idempotency_keys;
alter table idempotency_keys rename column body_sha256 to body_mac;

-- One row per rotation stays for some days: enrollment, rotation and revocation look at the rows of
-- one node, and at the newest request of one key.
create index node_identities_by_node on node_identities
  (node_id, cluster_id, certificate_not_after);
create index node_identities_superseded on node_identities (certificate_not_after)
  where identity_status = 'superseded';
create index node_join_requests_by_fingerprint on node_join_requests (node_fingerprint, created_at);

-- How much a node told lately is counted before more is taken.
create index session_events_by_node on session_events (node_id, received_at);
