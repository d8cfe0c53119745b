-- A node whose certificate ended asks again with the key it has. Such a request names the node that
-- its approval gives a certificate to; no second node comes of it.
alter table node_join_requests add column renews_node_id text references nodes (id);
alter table node_join_requests add constraint node_join_requests_renewal
  check (renews_node_id is null or approved_node_id is null or approved_node_id = renews_node_id);
-- A key still belongs to one node of the installation, and waits for one decision at a time.
drop index node_join_requests_key;
create unique index node_join_requests_key on node_join_requests (node_fingerprint)
  where status in ('pending', 'approved') and renews_node_id is null;
create unique index node_join_requests_waiting on node_join_requests (node_fingerprint)
  where status = 'pending';
