-- Nobody asks for the log of one node: the newest state has a table of its own, and the log is read
-- and dropped by age. An index by node was a fifth of what a heartbeat costs.
drop index node_heartbeats_by_node;
